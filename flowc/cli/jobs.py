"""Options that training, evaluation and prediction share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from flowc_runtime.backend import BACKENDS, ON_HOST

F = TypeVar("F", bound=Callable[..., Any])

threads_option = click.option(
    "--threads", type=click.IntRange(1, 1024), default=1, show_default=True,
    help="Threads that compute. With NumPy they are those of its BLAS, and results depend on their "
    "number in the last bits; with machine code results do not.",
)  # fmt: skip


def _backend_option(among: Sequence[str], help: str) -> Callable[[F], F]:
    return click.option(
        "--backend", type=click.Choice(among), default="numpy", show_default=True,
        help=f"What executes the plan: {help}.",
    )  # fmt: skip


backend_option = _backend_option(
    BACKENDS, "NumPy, machine code of this processor, or an NVIDIA GPU; what the last two have no "
    "code for is left to NumPy")
measured_backend_option = _backend_option(
    ON_HOST, "NumPy, or machine code of this processor where there is some")
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
