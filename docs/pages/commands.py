"""The page of the commands, from what they tell of themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from flowc.cli.main import flowc as command_line
from pages.markdown import Lines, page, table


def commands() -> str:
    context = click.Context(command_line, info_name="flowc", **command_line.context_settings)
    intro = [
        f"{command_line.help}",
        "",
        "Results go to stdout; progress and messages go to stderr. `-h` shows the help of a",
        "command. How a command ends is told by its [exit code](errors.md#exit-codes). Every",
        "option can be given in the environment: `FLOWC_TRAIN_THREADS=2` is",
        "`flowc train --threads 2`.",
        "",
        *_options(command_line, context),
    ]
    return page("Commands", intro, *_all_commands(command_line, context))


def _all_commands(group: click.Group, context: click.Context) -> Iterator[Lines]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, info_name=name, parent=context, **command.context_settings)
        yield _command(command, inner)
        if isinstance(command, click.Group):
            yield from _all_commands(command, inner)


def _command(command: click.Command, context: click.Context) -> Lines:
    depth = "##" if context.parent is not None and context.parent.parent is None else "###"
    yield f"{depth} {context.command_path}"
    yield ""
    pieces = " ".join(command.collect_usage_pieces(context))
    yield f"`{context.command_path} {pieces}`"
    yield ""
    for paragraph in (command.help or "").split("\n\n"):
        yield " ".join(paragraph.split())
        yield ""
    examples = getattr(command, "examples", ())
    if examples:
        yield "```sh"
        width = max(len(typed) for typed, _ in examples)
        yield from (f"{typed:{width}}  # {what}" for typed, what in examples)
        yield "```"
        yield ""
    yield from _options(command, context)


def _options(command: click.Command, context: click.Context) -> Lines:
    records = [o.get_help_record(context) for o in command.params if isinstance(o, click.Option)]
    rows = [(f"`{names}`", _help(text)) for names, text in filter(None, records)]
    yield from table(("option", "what"), rows) if rows else ()


def _help(text: str) -> str:
    return re.sub(r"  *\[(.*)\]$", r" (\1)", " ".join(text.split()))
