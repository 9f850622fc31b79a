"""What a training needs of an executor."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

Array = np.ndarray


class Steps(Protocol):
    """A session: the live variables of a plan, and its programs to run on them.

    `run` raises NonFinite, before any variable has changed, where the loss is not finite, and
    ExecutionError where a kernel refuses a value.
    """

    @property
    def variables(self) -> Mapping[str, Array]:
        """Live views by path."""
        ...

    def inputs(self, program: str) -> Mapping[str, Array]:
        """Live views of a program's inputs, to be filled before it runs."""
        ...

    def run(self, program: str, *, seed: int, step: int) -> Mapping[str, Array]:
        """Run a program on its inputs; its named outputs, copied."""
        ...


def metrics_of(outputs: Mapping[str, Array]) -> dict[str, float]:
    """The scalars among the outputs that the author called metrics, by their names."""
    prefix = "metric."
    return {
        name.removeprefix(prefix): float(value)
        for name, value in outputs.items()
        if name.startswith(prefix) and value.ndim == 0
    }
