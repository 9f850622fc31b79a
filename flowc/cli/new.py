"""`flowc new`: a folder with a small model that runs as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from flowc.cli import exits
from flowc.cli.command import command
from flowc.cli.ending import say

TEMPLATES = ("mlp", "cnn", "rnn", "linreg")


@command(
    "new",
    ("flowc new hello", "a perceptron, its data, a README"),
    ("flowc new hello -t cnn", "a convolutional network on pictures"),
)
@click.argument("name", type=click.Path(path_type=Path))
@click.option("-t", "--template", type=click.Choice(TEMPLATES), default=TEMPLATES[0],
              show_default=True, help="What to start from.")  # fmt: skip
@click.pass_context
def new(ctx: click.Context, name: Path, template: str) -> None:
    """Make a folder with a small model that runs as it is.

    NAME is the folder; it must not exist, or be empty. The data are computed, not downloaded.
    """
    from flowc.templates import TEMPLATES as known

    if _is_taken(name):
        say(f"{name} exists and is not empty", help="choose another name", color=ctx.color)
        ctx.exit(exits.CANNOT_CREATE)
    files = known[template].files(name.resolve().name)
    _write(name, files)
    click.echo("\n".join(str(name / file) for file in files))
    click.echo(f"\nNext:\n  cd {name}\n  flowc check\n  flowc train", err=True)


def _is_taken(folder: Path) -> bool:
    if not folder.is_dir():
        return folder.exists() or folder.is_symlink()
    return any(folder.iterdir())


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
