"""`flowc data`: the public data sets that flowc knows by name."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowc.cli.command import Command, Group
from flowc.cli.options import json_option

if TYPE_CHECKING:
    from flowc_runtime.data.pinned import Collection

EXAMPLES = (
    ("flowc data list", "what there is"),
    ("flowc data get fashion-mnist", "into data/fashion-mnist"),
    ("flowc data get mnist --to ~/sets/mnist", "into a folder of your choice"),
)


@click.group(cls=Group, examples=EXAMPLES)
def data() -> None:
    """List and download public data sets."""


@data.command("list", cls=Command, examples=(
    EXAMPLES[0], ("flowc data list --json", "with addresses and checksums")
))  # fmt: skip
@json_option
def show(as_json: bool) -> None:
    """List the data sets."""
    from flowc_runtime.data.pinned import COLLECTIONS

    if as_json:
        from dataclasses import asdict

        from flowc.cli.printing import print_json

        print_json("data", {"collections": [asdict(known) for known in COLLECTIONS.values()]})
        return
    for known in COLLECTIONS.values():
        click.echo(f"{known.name:14}  {_megabytes(known):6.1f} MB  {known.doc} ({known.licence})")


def _megabytes(known: Collection) -> float:
    return sum(file.size for file in known.files) / 1e6


@data.command("get", cls=Command, examples=EXAMPLES[1:])
@click.argument("name")
@click.option("--to", type=click.Path(file_okay=False, path_type=Path),
              help="The folder; by default data/NAME.")  # fmt: skip
@click.option("--from", "homes", multiple=True, metavar="URL",
              help="Another home than the public ones; may be given again.")  # fmt: skip
@json_option
def get(name: str, to: Path | None, homes: tuple[str, ...], as_json: bool) -> None:
    """Download a data set.

    NAME is one of `flowc data list`. Every file is checked against its known sha256 before it
    gets its name; files that are there already are kept.
    """
    from flowc_runtime.data.fetch import fetch

    folder = to or Path("data") / name
    paths = fetch(name, folder, homes or None, Progress())
    if as_json:
        from flowc.cli.printing import print_json

        print_json("data", {"name": name, "files": [str(path) for path in paths]})
        return
    click.echo("\n".join(map(str, paths)))


class Progress:
    """Tells on stderr how far the download is: a line a file, moving where it is a terminal."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()

    def __call__(self, file: str, done: int, size: int) -> None:
        ended = done >= size
        if not (self._live or ended):
            return
        line = f"{file}  {done / 1e6:.1f} of {size / 1e6:.1f} MB"
        start = "\r\x1b[K" if self._live else ""
        click.echo(start + line, err=True, nl=ended)
