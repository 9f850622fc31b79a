"""Saves checkpoints in a second thread, so that a step waits for a copy in memory at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np

from flowc_runtime.checkpoint.errors import CheckpointError
from flowc_runtime.checkpoint.manifest import Progress
from flowc_runtime.checkpoint.store import Checkpoints
from flowc_runtime.plan import Variable
from flowc_runtime.training.finite import first_not_finite

Array = np.ndarray
Outcome = tuple[int, Path | CheckpointError]  # of the save at a step


class Saver:
    """One save at a time; `poll` and `finish` give the outcomes, each once."""

    def __init__(self, checkpoints: Checkpoints, model: str, variables: Sequence[Variable]):
        self._checkpoints = checkpoints
        self._model = model
        self._variables = tuple(variables)
        self._copies: dict[str, Array] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._pending: Future[Outcome] | None = None

    def start(self, values: Mapping[str, Array], progress: Progress) -> None:
        """Begin to save `values` as they are now; the one before is finished."""
        assert self._pending is None
        for variable in self._variables:
            self._copy(variable.path, values[variable.path])
        self._pending = self._thread.submit(self._save, progress)

    def poll(self) -> Outcome | None:
        """The outcome of the save that was begun, if it is there by now."""
        if self._pending is None or not self._pending.done():
            return None
        return self.finish()

    def finish(self) -> Outcome | None:
        """Wait for the save that was begun, if any."""
        if self._pending is None:
            return None
        pending, self._pending = self._pending, None
        return pending.result()

    def close(self) -> None:
        self._thread.shutdown(wait=True)

    def _copy(self, path: str, value: Array) -> None:
        if path not in self._copies:
            self._copies[path] = np.empty_like(value)
        np.copyto(self._copies[path], value)

    def _save(self, progress: Progress) -> Outcome:
        step = progress.position.step
        spoilt = first_not_finite(self._variables, self._copies)
        if spoilt is not None:
            message = f"`{spoilt}` is not finite after step {step}: no checkpoint is made of it"
            return step, CheckpointError("not-finite", message)
        try:
            path = self._checkpoints.save(self._model, self._variables, self._copies, progress)
            return step, path
        except CheckpointError as error:
            return step, error
