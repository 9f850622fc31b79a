"""What does the steps of a training: this process alone, or the tasks of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from flowc_runtime.checkpoint.manifest import Position
from flowc_runtime.data.stream import Stream
from flowc_runtime.training.inputs import bind_inputs
from flowc_runtime.training.steps import Steps

Array = np.ndarray


@dataclass(frozen=True, slots=True)
class Stepped:
    """So many steps were done; the outputs (`loss`, `metric.NAME`) are those of the last."""

    steps: int
    outputs: Mapping[str, Array]


class Engine(Protocol):
    """Does steps on the variables of a session, which it may leave behind until it settles."""

    def begin(self, position: Position) -> None:
        """Steps after `position` follow, from the variables as they stand now."""

    def advance(self, position: Position, until: int) -> Stepped:
        """One step or more after `position`, up to step number `until` at most.

        Raises ExecutionError where the loss is not finite or a kernel refuses a value; the
        variables are then those of the step before.
        """
        ...

    def settle(self) -> None:
        """The variables of the session are those after the last step when this returns."""


class WholeBatch:
    """Every step in this process, with one gradient of the whole batch."""

    def __init__(self, steps: Steps, data: Stream, seed: int):
        self._steps = steps
        self._data = data
        self._seed = seed
        self._inputs = bind_inputs(data, steps.inputs("train"), data.batch)

    def begin(self, position: Position) -> None:
        pass

    def advance(self, position: Position, until: int) -> Stepped:
        self._data.read(position.epoch, position.batch, self._inputs)
        outputs = self._steps.run("train", seed=self._seed, step=position.step + 1)
        return Stepped(1, outputs)

    def settle(self) -> None:
        pass
