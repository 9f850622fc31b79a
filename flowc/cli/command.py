"""What all commands share: help that begins with examples, and groups that load lazily."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import Any, NoReturn

import click

CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 100}

Example = tuple[str, str]  # what is typed, and what that does


class Command(click.Command):
    """A command whose help shows examples before its options."""

    def __init__(self, *args: Any, examples: Sequence[Example] = (), **extra: Any):
        super().__init__(*args, **{"context_settings": CONTEXT, **extra})
        self.examples = tuple(examples)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        for param in self.params:
            if isinstance(param, click.Option) and param.envvar is None:
                param.envvar = variable_of(param, ctx.auto_envvar_prefix)
        return super().parse_args(ctx, args)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        write_examples(formatter, "Examples", self.examples)


def variable_of(option: click.Option, prefix: str | None) -> str | None:
    """The environment variable of an option: `FLOWC_TRAIN_ALLOW_PATH`."""
    longest = max(option.opts, key=len)
    return f"{prefix}_{longest.lstrip('-').replace('-', '_').upper()}" if prefix else None


def command(name: str, *examples: Example) -> Callable[[Callable[..., Any]], Command]:
    """Makes a function a command; its docstring is the help, whose first line says it all."""
    return click.command(name, cls=Command, examples=examples)


def write_examples(
    formatter: click.HelpFormatter, title: str, examples: Sequence[Example]
) -> None:
    with formatter.section(title):
        formatter.write_dl(list(examples), col_max=44)


@dataclass(frozen=True)
class Entry:
    """Where a command is: module, function, and the line about it in the group's help."""

    module: str
    function: str
    summary: str


class Group(click.Group):
    """A group of commands whose help begins with examples too."""

    examples_title = "Examples"

    def __init__(self, *args: Any, examples: Sequence[Example] = (), **extra: Any):
        super().__init__(*args, **{"context_settings": CONTEXT, **extra})
        self.examples = tuple(examples)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        write_examples(formatter, self.examples_title, self.examples)


class LazyGroup(Group):
    """A group that imports a command's module only when the command is called."""

    def __init__(self, *args: Any, entries: Mapping[str, Entry], **extra: Any):
        super().__init__(*args, **extra)
        self.entries = entries

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self.entries.get(cmd_name)
        if entry is None:
            return None
        found = getattr(import_module(entry.module), entry.function)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self.entries and not args[0].startswith("-"):
            self._unknown(ctx, args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self.entries.items()])

    def _unknown(self, ctx: click.Context, name: str) -> NoReturn:
        near = get_close_matches(name, self.entries, n=1)
        hint = f"; did you mean `{near[0]}`?" if near else f"; there is {', '.join(self.entries)}"
        ctx.fail(f"no command `{name}`{hint}")
