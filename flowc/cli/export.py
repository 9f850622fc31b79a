"""`flowc export`: a trained model in the format of others."""

from __future__ import annotations

from pathlib import Path

import click

from flowc.cli.command import command
from flowc.cli.jobs import find_weights, weights_option
from flowc.cli.models import diagnosing, read_model
from flowc.cli.options import define_option, model_argument

FORMATS = ("onnx",)


@command(
    "export",
    ("flowc export model.flow --to onnx", "model.onnx, with the weights of the newest run"),
    ("flowc export m.flow --weights w.safetensors -o net.onnx", "with these weights"),
)
@model_argument
@define_option
@weights_option("The trained weights; by default those of the newest run in runs/")
@click.option("--to", "format", type=click.Choice(FORMATS), default=FORMATS[0],
              show_default=True, help="The format.")  # fmt: skip
@click.option("-o", "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="The file to write; by default the model's name with .onnx, here.")  # fmt: skip
def export(
    model: Path, defines: dict[str, str], weights: Path | None, format: str, out: Path | None
) -> None:
    """Write a trained model for other tools.

    What is written computes the model's outputs; the batch stays open. The file passes ONNX's
    own checker. Needs `pip install 'flowc[onnx]'`.
    """
    from flowc.driver import Options, check
    from flowc.onnx.files import export_file
    from flowc.onnx.read import require_onnx

    require_onnx()
    with diagnosing() as sink:
        checked = check(read_model(model, sink), sink, Options(defines=defines))
    found = find_weights(weights, checked.name)
    target = out or Path(model.name).with_suffix(f".{format}")
    size = export_file(checked, found, target)
    click.echo(f"{target} ({size:,} bytes)")
