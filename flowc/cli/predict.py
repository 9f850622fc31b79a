"""`flowc predict`: the outputs of a trained model for examples from files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from flowc.cli.options import define_option, json_option

if TYPE_CHECKING:
    import numpy as np

    from flowc.jobs import Predictor

TOP = 5


@command(
    "predict",
    ("flowc predict m.flow examples.npy", "the newest run of m; one row of output an example"),
    ("flowc predict m.flow rows.csv --weights w.safetensors", "a row an example"),
    ("flowc predict m.flow photo.jpg other.jpg -k 3", "the three likeliest classes of each"),
    ('echo \'{"x": [[1, 2]]}\' | flowc predict m.flow - --json', "inputs by name, as JSON"),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.argument(
    "examples", nargs=-1, required=True, type=click.Path(path_type=Path, allow_dash=True)
)
@define_option
@weights_option("The trained weights; by default those of the newest run in runs/")
@click.option(
    "-k", "--top", type=click.IntRange(1), metavar="N",
    help=f"The N likeliest classes of each example, by name; {TOP} for images.",
)  # fmt: skip
@allow_option
@threads_option
@backend_option
@json_option
def predict(
    model: Path,
    examples: tuple[Path, ...],
    defines: dict[str, str],
    weights: Path | None,
    top: int | None,
    allow: tuple[Path, ...],
    threads: int,
    backend: str,
    as_json: bool,
) -> None:
    """Ask a trained model about examples.

    EXAMPLES is .npy (for a model with one input), .npz or .json with one array for each input by
    name, or .csv with a row for each example; `-` reads JSON from stdin. Or it is any number of
    images, which are read as those of the model's data are. Where a CSV file of words or of
    several inputs is read, it has the columns that the data section says.
    """
    from flowc.examples import are_photographs
    from flowc.jobs import Setup, make_predictor, model_name

    with diagnosing() as sink:
        source = read_model(model, sink)
        found = find_weights(weights, model_name(source, sink, defines))
        setup = Setup(defines, threads, allow, backend=backend)
        predictor = make_predictor(source, sink, setup, found)
    outputs = predictor.predict(_read(examples, predictor))
    photographs = are_photographs(examples)
    if photographs and top is None:
        top = TOP
    names = [str(path) for path in examples] if photographs else None
    ranked = _ranked(predictor, outputs, top, names) if top else None
    if as_json:
        by_name = {name: value.tolist() for name, value in outputs.items()}
        classes = {"classes": ranked} if ranked is not None else {}
        click.echo(json.dumps({"schema": "flowc.predict/1", "outputs": by_name, **classes}))
    elif ranked is not None:
        _print_ranked(ranked)
    else:
        _print_rows(outputs)


def _read(examples: Sequence[Path], predictor: Predictor) -> dict[str, np.ndarray]:
    from flowc.examples import (
        are_photographs,
        read_examples,
        read_photographs,
        read_rows,
        reads_rows,
    )

    inputs, spec = predictor.inputs, predictor.data
    if are_photographs(examples):
        return read_photographs(examples, inputs, spec)
    if len(examples) > 1:
        raise click.UsageError("several files are images; of other kinds it is one at a time")
    if spec is not None and examples[0].suffix == ".csv" and reads_rows(inputs, spec):
        return read_rows(examples[0], inputs, spec)
    return read_examples(examples[0], inputs)


def _ranked(
    predictor: Predictor, outputs: Mapping[str, np.ndarray], top: int, names: list[str] | None
) -> list[dict[str, Any]]:
    """For each example its likeliest classes, from the first output that has some."""
    from flowc_runtime.data.errors import DataError

    ranking = {n: v for n, v in outputs.items() if v.ndim == 2 and v.dtype.kind == "f"}
    named = [n for n in ranking if predictor.classes(n)] or list(ranking)
    if not named:
        raise DataError("data-shape", "no output has a number for each class of an example")
    classes, values = predictor.classes(named[0]), outputs[named[0]]
    names = names or [str(number) for number in range(len(values))]
    found = []
    for name, row in zip(names, values, strict=True):
        best = [
            {"class": classes[i] if classes else str(i), named[0]: float(row[i])}
            for i in (-row).argsort(kind="stable")[:top]
        ]
        found.append({"example": name, "output": named[0], "best": best})
    return found


def _print_ranked(ranked: Sequence[Mapping[str, Any]]) -> None:
    width = max(len(best["class"]) for example in ranked for best in example["best"])
    for example in ranked:
        click.echo(example["example"])
        for best in example["best"]:
            click.echo(f"  {best['class']:{width}}  {best[example['output']]:.4f}")


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
