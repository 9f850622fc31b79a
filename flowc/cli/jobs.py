"""Options that training, evaluation and prediction share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from flowc_runtime.backend import BACKENDS

F = TypeVar("F", bound=Callable[..., Any])

threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True,
    help="Threads that compute. With NumPy they are those of its BLAS, and results depend on their "
    "number in the last bits; with machine code results do not.",
)  # fmt: skip
backend_option = click.option(
    "--backend", type=click.Choice(BACKENDS), default="numpy", show_default=True,
    help="What executes the plan: NumPy, or machine code for fused instructions and NumPy for the "
    "others.",
)  # fmt: skip
allow_option = click.option(
    "--allow-path", "allow", multiple=True, metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A folder outside of the model's that data may be read from.",
)  # fmt: skip


def weights_option(help: str) -> Callable[[F], F]:
    return click.option(
        "--weights", type=click.Path(path_type=Path), metavar="PATH",
        help=f"{help}: a safetensors file, a checkpoint or a run folder.",
    )  # fmt: skip


def find_weights(given: Path | None, model: str) -> Path:
    """The weights that are meant: those named, or the newest run of the model here."""
    if given is not None:
        return given
    from flowc_runtime.runfolder.errors import RunError
    from flowc_runtime.runfolder.folder import latest_run

    found = latest_run(model)
    if found is None:
        raise RunError(
            "run-none", f"there is no run of `{model}` in runs/ here",
            help="train it first, or name its weights with --weights",
        )
    return found
