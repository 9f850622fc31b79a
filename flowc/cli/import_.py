"""`flowc import`: an ONNX model as a text with weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowc.cli import exits
from flowc.cli.command import command
from flowc.cli.ending import say

if TYPE_CHECKING:
    import numpy as np

    from flowc.onnx.files import Files


class Shape(click.ParamType):  # type: ignore[type-arg]  # (it takes one from click 8.2 on)
    """`input=1,3,224,224`; a size may be the word `batch`."""

    name = "input=sizes"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int | str, ...]]:
        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).rpartition("=")
        sizes = [s.strip() for s in text.split(",")] if text.strip() else []
        good = all(s == "batch" or (s.isdigit() and 0 < int(s) < 1 << 31) for s in sizes)
        if not equals or not name or not good:
            self.fail(f"`{value}` is not of the form input=1,3,224,224 (or batch,3,...)", param,
                      ctx)
        return name, tuple(s if s == "batch" else int(s) for s in sizes)


class Value(click.ParamType):  # type: ignore[type-arg]
    """`input=16000` or `input=1,2,3`."""

    name = "input=numbers"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, np.ndarray]:
        import numpy as np

        if isinstance(value, tuple):
            return value
        name, equals, text = str(value).rpartition("=")
        try:
            numbers = [float(n) for n in text.split(",")] if text.strip() else []
        except ValueError:
            numbers = []
            equals = ""
        if not equals or not name:
            self.fail(f"`{value}` is not of the form input=16000 or input=1,2,3", param, ctx)
        array = np.array(numbers)
        return name, array[0] if len(numbers) == 1 else array


@command(
    "import",
    ("flowc import model.onnx", "model.flow, and model.safetensors beside it"),
    ("flowc import m.onnx -o net.flow", "under another name"),
    ("flowc import m.onnx --shape x=batch,3,48,320", "sizes that the file leaves open"),
    ("flowc import vad.onnx --value sr=16000", "an input that is always the same"),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="The text to write; by default the model's name with .flow, here.")  # fmt: skip
@click.option("--shape", "shapes", type=Shape(), multiple=True,
              help="The sizes of an input. `batch` is the size that stays open.")  # fmt: skip
@click.option("--value", "values", type=Value(), multiple=True,
              help="Fixes an input, which is then no input of the text.")  # fmt: skip
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.pass_context
def import_(
    ctx: click.Context,
    model: Path,
    out: Path | None,
    shapes: tuple[tuple[str, tuple[int | str, ...]], ...],
    values: tuple[tuple[str, np.ndarray], ...],
    force: bool,
) -> None:
    """Make a text of an ONNX model, and a file of its weights.

    MODEL is an .onnx file, the weights go into a safetensors file. The text can be read, edited
    and trained like any other. Operators that have no translation are listed with their places.
    Needs `pip install 'flowc[onnx]'`.
    """
    from flowc.onnx.files import import_file
    from flowc.onnx.inputs import Wishes

    text = out or Path(model.name).with_suffix(".flow")
    taken = [p for p in (text, text.with_suffix(".safetensors")) if p.exists()]
    if taken and not force:
        say(f"{taken[0]} exists", help="--force replaces it; -o names another file",
            color=ctx.color)
        ctx.exit(exits.CANNOT_CREATE)
    files = import_file(model, text, Wishes(dict(shapes), dict(values)))
    _tell(files)


def _tell(files: Files) -> None:
    click.echo(str(files.text))
    if files.weights is not None:
        click.echo(str(files.weights))
    with_weights = f" --weights {files.weights}" if files.weights is not None else ""
    click.echo(f"\nNext:\n  flowc check {files.text}\n  flowc predict {files.text} EXAMPLES"
               f"{with_weights}", err=True)  # fmt: skip
