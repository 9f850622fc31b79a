"""`flowc predict`: the outputs of a trained model for examples from a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowc.cli.command import command
from flowc.cli.jobs import backend_option, find_weights, threads_option, weights_option
from flowc.cli.models import diagnosing, read_model
from flowc.cli.options import define_option, json_option

if TYPE_CHECKING:
    import numpy as np


@command(
    "predict",
    ("flowc predict m.flow examples.npy", "the newest run of m; one row of output an example"),
    ("flowc predict m.flow rows.csv --weights w.safetensors", "a row an example"),
    ('echo \'{"x": [[1, 2]]}\' | flowc predict m.flow - --json', "inputs by name, as JSON"),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("examples", type=click.Path(path_type=Path, allow_dash=True))
@define_option
@weights_option("The trained weights; by default those of the newest run in runs/")
@threads_option
@backend_option
@json_option
def predict(
    model: Path,
    examples: Path,
    defines: dict[str, str],
    weights: Path | None,
    threads: int,
    backend: str,
    as_json: bool,
) -> None:
    """Ask a trained model about examples.

    EXAMPLES is .npy (for a model with one input), .npz or .json with one array for each input by
    name, or .csv with a row of numbers for each example (one input); `-` reads JSON from stdin.
    """
    from flowc.examples import read_examples
    from flowc.jobs import Setup, make_predictor, model_name

    with diagnosing() as sink:
        source = read_model(model, sink)
        found = find_weights(weights, model_name(source, sink, defines))
        predictor = make_predictor(source, sink, Setup(defines, threads), found)
    outputs = predictor.predict(read_examples(examples, predictor.inputs))
    if as_json:
        by_name = {name: value.tolist() for name, value in outputs.items()}
        click.echo(json.dumps({"schema": "flowc.predict/1", "outputs": by_name}))
        return
    _print_rows(outputs)


def _print_rows(outputs: Mapping[str, np.ndarray]) -> None:
    """CSV: a header of output names, then a line for each example."""
    flat = {name: value.reshape(len(value), -1) for name, value in outputs.items()}
    header = [
        name if rows.shape[1] == 1 else f"{name}.{i}"
        for name, rows in flat.items() for i in range(rows.shape[1])
    ]
    click.echo(",".join(header))
    for parts in zip(*flat.values(), strict=True):
        click.echo(",".join(f"{value:.9g}" for part in parts for value in part.tolist()))
