"""What is told and kept of a training: events, metrics, checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np

from flowc_runtime.checkpoint.errors import CheckpointError
from flowc_runtime.checkpoint.manifest import Progress
from flowc_runtime.checkpoint.read import step_name
from flowc_runtime.events import (
    CheckpointSaved,
    Error,
    Event,
    StepDone,
    Validation,
    Warning,
)
from flowc_runtime.plan import Plan
from flowc_runtime.runfolder.folder import RunFolder
from flowc_runtime.training.errors import TrainingFailed
from flowc_runtime.training.saver import Outcome, Saver

FAILURES_MAX = 3  # saves in a row that may fail before the run stops

Array = np.ndarray
Emit = Callable[[Event], None]


class Record(Protocol):
    """Where a training's results go. A training without a run folder has a `TellOnly`.

    `path` is the run folder, `last_checkpoint` the newest checkpoint that is known to be sound.
    """

    path: str | None
    last_checkpoint: Path | None

    def begin(self, step: int) -> None:
        """Steps after `step` follow; what is known of them from before is void."""

    def step(self, event: StepDone) -> None: ...

    def validation(self, event: Validation) -> None: ...

    def save(self, values: Mapping[str, Array], progress: Progress) -> None:
        """Begin to save a checkpoint, unless this step's is already there."""

    def poll(self) -> None:
        """Tell of a save that is done; called after every step."""

    def settle(self) -> None:
        """Wait for the save that was begun, and tell of it."""

    def finish(self, values: Mapping[str, Array], progress: Progress) -> None:
        """Save for the last time; TrainingFailed where that cannot be done."""

    def close(self) -> None: ...


class TellOnly:
    """A training without a run folder: nothing is kept."""

    path: str | None = None
    last_checkpoint: Path | None = None

    def __init__(self, emit: Emit):
        self._emit = emit

    def begin(self, step: int) -> None:
        pass

    def step(self, event: StepDone) -> None:
        self._emit(event)

    def validation(self, event: Validation) -> None:
        self._emit(event)

    def save(self, values: Mapping[str, Array], progress: Progress) -> None:
        pass

    def poll(self) -> None:
        pass

    def settle(self) -> None:
        pass

    def finish(self, values: Mapping[str, Array], progress: Progress) -> None:
        pass

    def close(self) -> None:
        pass


class KeepInRun:
    """Events are told, and written into the run folder; checkpoints are saved there.

    A disk that refuses is a warning and the training goes on, but after FAILURES_MAX failed
    saves in a row TrainingFailed is raised.
    """

    def __init__(self, run: RunFolder, plan: Plan, emit: Emit):
        self.path: str | None = str(run.path)
        self.last_checkpoint: Path | None = None
        self._run = run
        self._emit = emit
        self._saver = Saver(run.checkpoints, plan.model, plan.variables)
        self._failures: list[CheckpointError] = []  # since the last save that succeeded
        self._writable = True

    def begin(self, step: int) -> None:
        self._run.drop_after(step)
        if step in self._run.checkpoints.steps():
            self.last_checkpoint = self._run.checkpoints.directory / step_name(step)

    def step(self, event: StepDone) -> None:
        self._emit(event)
        self._write(event, "train")

    def validation(self, event: Validation) -> None:
        self._emit(event)
        self._write(event, "validation")

    def save(self, values: Mapping[str, Array], progress: Progress) -> None:
        self.settle()
        if not self._has(progress.position.step):
            self._saver.start(values, progress)

    def poll(self) -> None:
        outcome = self._saver.poll()
        if outcome is not None:
            self._tell(outcome)

    def settle(self) -> None:
        outcome = self._saver.finish()
        if outcome is not None:
            self._tell(outcome)

    def finish(self, values: Mapping[str, Array], progress: Progress) -> None:
        self.save(values, progress)
        self.settle()
        if not self._has(progress.position.step):
            raise self._failed(progress.position.step)

    def close(self) -> None:
        self._saver.close()

    def _has(self, step: int) -> bool:
        return self.last_checkpoint is not None and self.last_checkpoint.name == step_name(step)

    def _tell(self, outcome: Outcome) -> None:
        step, result = outcome
        if isinstance(result, CheckpointError):
            self._failures.append(result)
            self._tell_failure(step, result)
        else:
            self._failures.clear()
            self.last_checkpoint = result
            self._emit(CheckpointSaved(step, str(result)))
            self._guarded(self._run.scalars.flush)

    def _tell_failure(self, step: int, error: CheckpointError) -> None:
        if len(self._failures) >= FAILURES_MAX:
            raise self._failed(step)
        self._emit(
            Warning(
                error.code,
                f"{error.message}; training goes on",
                help=f"{FAILURES_MAX} failures in a row stop the run, "
                f"this is number {len(self._failures)}",
            )
        )

    def _failed(self, step: int) -> TrainingFailed:
        error = self._failures[-1]
        last = str(self.last_checkpoint) if self.last_checkpoint else None
        return TrainingFailed(
            Error(error.code, error.message, error.help, step=step, checkpoint=last)
        )

    def _write(self, event: StepDone | Validation, group: str) -> None:
        values = {"loss": event.loss, **event.metrics}
        tagged = {f"{group}/{name}": value for name, value in values.items()}
        self._guarded(lambda: self._run.metrics.write(event.to_json()))
        self._guarded(lambda: self._run.scalars.write(event.step, tagged))

    def _guarded(self, write: Callable[[], None]) -> None:
        """Warn once where the disk refuses; numbers to look at are not worth a training."""
        try:
            write()
        except OSError as error:
            if self._writable:
                self._emit(Warning("metrics-unwritable", f"{self._run.path}: {error.strerror}"))
            self._writable = False
