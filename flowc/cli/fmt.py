"""`flowc fmt`: brings texts into the one style."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import click

from flowc.cli import exits
from flowc.cli.command import command
from flowc.cli.models import diagnosing, model_files, read_model, write_text
from flowc.diagnostic import Stop
from flowc.source import Source

STDIN = Path("-")

Act = Callable[[Path, str, str], None]  # with a file, its text, and the text in the one style


@command(
    "fmt",
    ("flowc fmt", "model.flow of this folder"),
    ("flowc fmt --check models/", "exit code 1 if a text would change; nothing is written"),
    ("flowc fmt - < a.flow", "to stdout"),
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))
@click.option("--check", is_flag=True, help="Write nothing; name the files that would change.")
@click.option("--diff", is_flag=True, help="Write nothing; show what would change.")
@click.pass_context
def fmt(ctx: click.Context, paths: tuple[Path, ...], check: bool, diff: bool) -> None:
    """Bring .flow texts into the one style.

    PATHS are files or folders, or `-` for stdin. Comments stay. A text with mistakes in its
    syntax is left alone. With --check or --diff, the exit code is 1 if something would change.
    """
    act: Act = _show_diff if diff else _name if check else _write
    changed, failed = 0, 0
    for source, path in _sources(paths):
        text = None if source is None else _formatted(source)
        if source is None or text is None:
            failed += 1
        elif text != source.text or path == STDIN:
            changed += text != source.text
            act(path, source.text, text)
    if STDIN not in paths:
        verb = "would change" if check or diff else "changed"
        click.echo(_summary(changed, failed, verb), err=True)
    ctx.exit(exits.MISTAKE if failed or (changed and (check or diff)) else exits.OK)


def _sources(paths: tuple[Path, ...]) -> Iterator[tuple[Source | None, Path]]:
    """The texts that are meant; None for one that cannot be read as text."""
    if STDIN in paths:
        if len(paths) > 1:
            raise click.UsageError("`-` stands alone")
        yield _stdin(), STDIN
        return
    for path in model_files(paths):
        yield _read(path), path


def _read(path: Path) -> Source | None:
    with diagnosing() as sink:
        try:
            return read_model(path, sink)
        except Stop:
            return None


def _stdin() -> Source:
    raw = sys.stdin.buffer.read()
    try:
        return Source("stdin", raw.decode())
    except UnicodeDecodeError as error:
        raise click.ClickException(f"stdin is not a UTF-8 text: {error.reason}") from None


def _formatted(source: Source) -> str | None:
    """The text in the one style; None, and diagnostics on stderr, where it has mistakes."""
    from flowc.syntax.format import format_text

    with diagnosing() as sink:
        text = format_text(source, sink)
        return None if sink.errors else text


def _write(path: Path, before: str, after: str) -> None:
    if path == STDIN:
        click.echo(after, nl=False)
        return
    write_text(path, after)
    click.echo(str(path))


def _name(path: Path, before: str, after: str) -> None:
    if before != after:
        click.echo(str(path))


def _show_diff(path: Path, before: str, after: str) -> None:
    from difflib import unified_diff

    lines = unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True),
        str(path), f"{path} (formatted)",
    )  # fmt: skip
    click.echo("".join(line if line.endswith("\n") else line + "\n" for line in lines), nl=False)


def _summary(changed: int, failed: int, verb: str) -> str:
    files = "1 file" if changed == 1 else f"{changed} files"
    return f"{files} {verb}" + (f", {failed} left alone: they have mistakes" if failed else "")
