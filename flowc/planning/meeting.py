"""What it costs tasks of this host to meet, found by trainings that do little else.

Two workers and a ps share two cores, so that in every step a core goes from one task to another.
The simulation of the same step says what a switch must have taken; then, where the step moves some
megabytes, what reading them must have; and where it computes for milliseconds, how much the work of
tasks varies, the slowest of which all wait for.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import groupby
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
from flowc.planning.neighbours import crowd
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
PASSES = 2  # over the figures, each of which is found with what is known of the others
HALVINGS = 20
LEAST_EFFECT = 1.05  # of the ends of a range on the step: else it says nothing
BATCHES = 4  # in an epoch

SETTINGS = """
data train = npz("train.npz") -> x

train {{
  data = train
  batch = {batch}
  epochs = 1000000
  optimizer = sgd(lr = 0.1)
}}
"""
EXCHANGING = """
model exchanging {{
  input x: f32[batch, 1]
  param w: f32[{width}] = zeros
  loss = mean((w - mean(x)) * (w - mean(x)))
}}
"""
COMPUTING = """
model computing {
  input x: f32[batch, 64]
  low = x |> dense(64) |> tanh |> dense(64) |> tanh
  high = low |> dense(64) |> tanh |> dense(64) |> tanh
  loss = mean(high * high)
}
"""


@dataclass(frozen=True)
class Question:
    """What a trial is to tell: the figure that lies between two ends, and with which training.

    What lies beyond an end is taken as that: at the low one it costs nothing that could be seen.
    Of `rounds` trials the median counts. `crowded`: its instructions matter, and are timed with all
    cores busy as well.
    """

    meeting: Callable[[Meeting, float], Meeting]
    ends: tuple[float, float]
    model: str
    examples: int = 1  # a worker, in a step
    columns: int = 1
    rounds: int = 1
    crowded: bool = False

    def text(self, workers: int) -> str:
        return self.model + SETTINGS.format(batch=self.examples * workers)


SWITCH = Question(
    lambda m, seconds: replace(m, switch_seconds=seconds), (1e-6, 2e-3), EXCHANGING.format(width=1))
READING = Question(  # seconds of a byte
    lambda m, seconds: replace(m, bytes_per_s=1 / seconds), (5e-11, 2e-9),
    EXCHANGING.format(width=1 << 19))
SPREAD = Question(
    lambda m, spread: replace(m, spread=spread), (1e-3, 2.0), COMPUTING, 1024, 64, 3, True)


def measure_meeting(calibration: Calibration, backend: str = "numpy") -> Calibration:
    """The calibration with what was found; what a trial says nothing about stays as it is."""
    with TemporaryDirectory(prefix="flowc-meeting-") as folder, _few_cores():
        trials = [
            Trial.run(question, Path(folder), calibration, backend)
            for question in (SWITCH, READING, SPREAD) for _ in range(question.rounds)]
    meeting = calibration.meeting
    for _ in range(PASSES):
        for question, asked in groupby(trials, lambda trial: trial.question):
            found = [trial.fit(meeting) for trial in asked]
            known = [figure for figure in found if figure is not None]
            meeting = question.meeting(meeting, statistics.median(known)) if known else meeting
    return replace(calibration, meeting=meeting)


@dataclass(frozen=True)
class Trial:
    """A training over tasks of this host: its plan, its costs, and what a step took."""

    question: Question
    compiled: Compiled
    costs: Calibration
    step_seconds: float

    @classmethod
    def run(
        cls, question: Question, folder: Path, costs: Calibration, backend: str
    ) -> Trial:
        cluster = local(workers := min(usable_cores(), MOST_WORKERS), 1)
        rows = BATCHES * question.examples * workers
        np.savez(folder / "train.npz", x=np.ones((rows, question.columns), np.float32))
        source = _source(folder / "meeting.flow", question.text(workers))
        compiled = compile_for(source, Sink(), {}, cluster, None)
        arguments = ["calibrate", source.name, "--local", str(workers), "--backend", backend]
        others = crowd(arguments, 1) if question.crowded else None
        known = measure_model(compiled, (), MODEL_SECONDS, 1, costs, others, backend)
        setup = Setup({}, 1, runs=over(cluster), backend=backend)
        job = prepare_training(source, Sink(), setup)
        return cls(question, compiled, known, _step_seconds(job))

    def fit(self, meeting: Meeting) -> float | None:
        """The figure with which the simulation takes what the step took; None: it has no say."""
        def predicted(figure: float) -> float:
            return self._predicted(self.question.meeting(meeting, figure))

        low, high = self.question.ends
        if predicted(high) < LEAST_EFFECT * predicted(low):
            return None
        for _ in range(HALVINGS):
            middle = math.sqrt(low * high)
            if predicted(middle) < self.step_seconds:
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
