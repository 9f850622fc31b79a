"""What a training tells the outside: events as data, rendered or written as JSON elsewhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar


@dataclass(frozen=True)
class _Event:
    """An event's JSON object has `event`, its name, and one entry a field."""

    name: ClassVar[str]

    def to_json(self) -> dict[str, Any]:
        """Plain data; a number that JSON does not have (NaN, infinity) becomes null."""
        content = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {"event": self.name} | {key: _plain(value) for key, value in content.items()}


@dataclass(frozen=True)
class Start(_Event):
    """A training begins, or goes on from `step` where it was resumed. `run` is the folder."""

    name: ClassVar[str] = "start"
    model: str
    step: int
    total_steps: int
    batches_per_epoch: int
    seed: int
    run: str | None


@dataclass(frozen=True)
class StepDone(_Event):
    """One of the steps, not each of them. `epoch` counts from 1; `loss` is this step's."""

    name: ClassVar[str] = "step"
    step: int
    epoch: int
    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps_per_second: float | None = None


@dataclass(frozen=True)
class Validation(_Event):
    """Means over all `examples` of the validation data."""

    name: ClassVar[str] = "validation"
    step: int
    epoch: int
    loss: float
    metrics: Mapping[str, float]
    examples: int


@dataclass(frozen=True)
class CheckpointSaved(_Event):
    """The state after `step` is safe in the directory `path`."""

    name: ClassVar[str] = "checkpoint"
    step: int
    path: str


@dataclass(frozen=True)
class Warning(_Event):
    """Something went wrong and the training goes on."""

    name: ClassVar[str] = "warning"
    code: str
    message: str
    help: str | None = None


@dataclass(frozen=True)
class Gradients(_Event):
    """What has become of one worker's gradients, where steps do not wait for all of them.

    `staleness` is the largest: how many steps others had made since the worker got its variables.
    """

    name: ClassVar[str] = "gradients"
    step: int
    worker: str
    applied: int
    dropped: int
    staleness: int


@dataclass(frozen=True)
class StepTime(_Event):
    """Before the end: seconds of a step as the plan foretold them, and the median of this run.

    `measured` is None where there were too few steps to tell.
    """

    name: ClassVar[str] = "step_time"
    predicted: float
    measured: float | None


@dataclass(frozen=True)
class End(_Event):
    """The training has ended in order.

    `stopped` is None after the last step, else `interrupt` (Ctrl-C) or `terminate` (SIGTERM).
    `loss` is the last step's, `metrics` are the last validation's; `run` is the folder.
    """

    name: ClassVar[str] = "end"
    step: int
    loss: float | None
    metrics: Mapping[str, float]
    weights_sha256: str
    run: str | None
    stopped: str | None = None

    @property
    def exit_code(self) -> int:
        return {None: 0, "interrupt": 130, "terminate": 75}[self.stopped]


@dataclass(frozen=True)
class Error(_Event):
    """The training cannot go on.

    `op` and `at` (`file:line:column`) say where a value went wrong, `path` under which names of
    the model, `checkpoint` is the newest sound state.
    """

    name: ClassVar[str] = "error"
    code: str
    message: str
    help: str | None = None
    step: int | None = None
    op: str | None = None
    at: str | None = None
    path: str | None = None
    checkpoint: str | None = None

    @property
    def exit_code(self) -> int:
        """1: the model or the data; 74: the disk."""
        return 74 if self.code in ("disk-full", "checkpoint-unwritable") else 1


Event = (
    Start | StepDone | Validation | CheckpointSaved | Warning | Gradients | StepTime | End | Error)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
