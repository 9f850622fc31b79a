"""`flowc eval`: loss and metrics of trained weights over data."""

from __future__ import annotations

import json
from pathlib import Path

import click

from flowc.cli.command import command
from flowc.cli.jobs import (
    allow_option,
    backend_option,
    find_weights,
    threads_option,
    weights_option,
)
from flowc.cli.models import diagnosing, read_model
from flowc.cli.options import define_option, json_option, model_argument


@command(
    "eval",
    ("flowc eval m.flow", "the newest run of m in runs/, over the validation data"),
    ("flowc eval m.flow --weights w.safetensors --data test", "these weights, that data"),
)
@model_argument
@define_option
@weights_option("The weights to measure; by default those of the newest run in runs/")
@click.option("--data", metavar="NAME", help="The data item; by default what `validate` names.")
@threads_option
@backend_option
@allow_option
@json_option
def evaluate(
    model: Path,
    defines: dict[str, str],
    weights: Path | None,
    data: str | None,
    threads: int,
    backend: str,
    allow: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Measure a trained model on data."""
    from flowc.cli.progress import values
    from flowc.jobs import Setup, evaluate_model, model_name

    with diagnosing() as sink:
        source = read_model(model, sink)
        found = find_weights(weights, model_name(source, sink, defines))
        setup = Setup(defines, threads, allow, backend=backend)
        seen = evaluate_model(source, sink, setup, found, data)
    if as_json:
        facts = {"schema": "flowc.eval/1", "loss": seen.loss, "metrics": dict(seen.metrics),
                 "examples": seen.examples, "weights": str(found)}  # fmt: skip
        click.echo(json.dumps(facts))
        return
    click.echo(f"loss {seen.loss:.4f}{values(seen.metrics)}  over {seen.examples} examples")
