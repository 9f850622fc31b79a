"""What it costs tasks of this host to meet, found by trainings that do little else.

Two workers and a ps share two cores, so that in every step a core goes from one task to another.
The simulation of the same step says what a switch must have taken, and then, where the step moves
some megabytes, what reading them must have.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from flowc.cluster import local
from flowc.costs import Calibration, CostModel, Meeting
from flowc.diagnostic import Sink
from flowc.distributed import over
from flowc.jobs import Setup, TrainingJob, prepare_training
from flowc.planning.compiled import Compiled, compile_for
from flowc.planning.measure import measure_model
from flowc.predict import predict
from flowc.source import Source
from flowc.syntax.read import read_source
from flowc_runtime.checkpoint.manifest import Position
from flowc_runtime.cores import usable_cores

CORES = 2  # that the tasks share, where the system lets one choose
MOST_WORKERS = 8  # where it does not
WINDOWS = 15  # of steps that are timed, a tenth of a second each
WARM_UP_WINDOWS = 3
MODEL_SECONDS = 1.0  # for the instructions of a trial
SWITCHES = (1e-6, 2e-3)  # seconds among which a switch is looked for
READING = (1e-11, 2e-9)  # and those of a byte
HALVINGS = 20
LEAST_EFFECT = 1.05  # of the ends of a range on the step: else it says nothing

SMALL, LARGE = 1, 1 << 19  # numbers in the model of a trial
TEXT = """
model meeting {{
  input x: f32[batch]
  param w: f32[{width}] = zeros
  loss = mean((w - mean(x)) * (w - mean(x)))
}}

data train = npz("train.npz") -> x

train {{
  data = train
  batch = {batch}
  epochs = 1000000
  optimizer = sgd(lr = 0.1)
}}
"""


def measure_meeting(calibration: Calibration, backend: str = "numpy") -> Calibration:
    """The calibration with what was found; what a trial says nothing about stays as it is."""
    with TemporaryDirectory(prefix="flowc-meeting-") as folder, _few_cores():
        small, large = (Trial.run(Path(folder), n, calibration, backend) for n in (SMALL, LARGE))
    meeting = calibration.meeting
    switch = small.fit(lambda s: replace(meeting, switch_seconds=s), SWITCHES)
    meeting = meeting if switch is None else replace(meeting, switch_seconds=switch)
    byte = large.fit(lambda s: replace(meeting, bytes_per_s=1 / s), READING)
    meeting = meeting if byte is None else replace(meeting, bytes_per_s=1 / byte)
    return replace(calibration, meeting=meeting)


@dataclass(frozen=True)
class Trial:
    """A training over tasks of this host: its plan, its costs, and what a step took."""

    compiled: Compiled
    costs: Calibration
    step_seconds: float

    @classmethod
    def run(cls, folder: Path, width: int, costs: Calibration, backend: str) -> Trial:
        cluster = local(workers := min(usable_cores(), MOST_WORKERS), 1)
        np.savez(folder / "train.npz", x=np.ones((256 * workers,), np.float32))
        source = _source(folder / "meeting.flow", TEXT.format(width=width, batch=workers))
        compiled = compile_for(source, Sink(), {}, cluster, None)
        known = measure_model(compiled, (), MODEL_SECONDS, 1, costs, None, backend)
        setup = Setup({}, 1, runs=over(cluster), backend=backend)
        return cls(compiled, known, _step_seconds(prepare_training(source, Sink(), setup)))

    def fit(
        self, meeting_of: Callable[[float], Meeting], ends: tuple[float, float]
    ) -> float | None:
        """The seconds between the ends with which the simulation takes what the step took."""
        low, high = ends
        if self._predicted(meeting_of(high)) < LEAST_EFFECT * self._predicted(meeting_of(low)):
            return None
        for _ in range(HALVINGS):
            middle = math.sqrt(low * high)
            if self._predicted(meeting_of(middle)) < self.step_seconds:
                low = middle
            else:
                high = middle
        return math.sqrt(low * high)

    def _predicted(self, meeting: Meeting) -> float:
        parts, tasks, cluster = self.compiled.parts, self.compiled.tasks, self.compiled.cluster
        assert parts is not None and tasks is not None and cluster is not None
        costs = CostModel(replace(self.costs, meeting=meeting))
        return predict(parts, tasks, cluster.link, lambda host: costs).step_seconds


def _source(path: Path, text: str) -> Source:
    path.write_text(text, encoding="utf-8")
    source = read_source(path, Sink())
    assert source is not None
    return source


def _step_seconds(job: TrainingJob) -> float:
    """The median of some windows of steps."""
    taken: list[float] = []
    with job.planned.open_engine(job, None, lambda notice: None) as engine:
        position = Position()
        engine.begin(position)
        for _ in range(WARM_UP_WINDOWS + WINDOWS):
            begun = time.perf_counter()
            steps = engine.advance(position, position.step + 10**6).steps
            taken.append((time.perf_counter() - begun) / max(1, steps))
            step = position.step + steps
            position = Position(step, *divmod(step, job.data.batches_per_epoch))
    return statistics.median(taken[WARM_UP_WINDOWS:])


@contextmanager
def _few_cores() -> Iterator[None]:
    """What is started meanwhile shares few cores, where the system has a way to say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:CORES])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
