"""Trainings whose tasks die, freeze or lose their coordinator, again and again: the weights stay.

`pytest -m soak tests/test_cluster_faults.py` prints how soon faults were seen and what they cost.
"""

from __future__ import annotations

import os
import random
import select
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
from cluster_runs import Training, finished, lives, small_model, training

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

RUNS = 20
STEPS = 1200
FROZEN_SECONDS = 20.0
DEATH_SECONDS = 60.0
WAYS = (("--local", "2"), ("--local", "2", "--ps", "2"), ("--local", "2", "--sync", "all_reduce"),
        ("--local", "3"))  # fmt: skip


@dataclass
class Figures:
    """What a kind of fault has cost, in seconds.

    `stalls` are from the fault to the moment when the training went on, as seen from outside;
    `gaps` are the longest times after it in which nothing was logged.
    """

    stalls: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    detected: list[float] = field(default_factory=list)

    def add(self, run: Training, at: float) -> None:
        """What became of a fault at that time."""
        told = [
            when for event, when in zip(run.events, run.times, strict=True)
            if event["event"] == "warning" and when > at
        ]
        assert told, "the fault came too late to be noticed"
        self.stalls.append(told[0] - at)
        after = [at, *(when for when in run.times if when > at)]
        self.gaps.append(max(b - a for a, b in pairwise(after)))

    def print(self, what: str, runs: int) -> None:
        said = [f"\n{what}: {runs} of {runs} runs with the undisturbed weights"]
        for name, seconds in (("stall", self.stalls), ("longest gap", self.gaps),
                              ("detected after", self.detected)):  # fmt: skip
            if seconds:
                said.append(f"{name} p50 {median(seconds):.2f} s, max {max(seconds):.2f} s")
        print("; ".join(said), flush=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    model = model_in(tmp_path_factory.mktemp("undisturbed"))
    return str(finished(model)["weights_sha256"])


def model_in(folder: Path) -> Path:
    return small_model(folder, STEPS, 200)


def way_of(number: int, victim: str) -> tuple[str, ...]:
    """Each in turn; those without a ps where one is needed are left out."""
    fitting = [way for way in WAYS if victim != "ps" or "all_reduce" not in way]
    return fitting[number % len(fitting)]


def chosen(run: Training, victim: str, rng: random.Random) -> int:
    tasks = {name: pid for name, pid in run.tasks().items() if name.startswith(victim)}
    return tasks[rng.choice(sorted(tasks))]


@pytest.mark.parametrize("victim", ["worker", "ps"])
def test_a_killed_task_changes_no_bit(tmp_path: Path, undisturbed: str, victim: str) -> None:
    rng, figures = random.Random(7), Figures()
    for number in range(RUNS):
        with training(model_in(tmp_path / str(number)), *way_of(number, victim)) as run:
            run.until_step(rng.randrange(1, STEPS * 2 // 3))
            time.sleep(rng.random() * 0.1)
            pid, at = chosen(run, victim, rng), time.monotonic()
            os.kill(pid, signal.SIGKILL)
            assert run.end()["weights_sha256"] == undisturbed, (number, run.warnings)
            figures.add(run, at)
            ended(run)
    figures.print(f"kill -9 of a {victim}", RUNS)
    if victim == "worker":
        assert median(figures.stalls) <= 2.0


def test_a_killed_coordinator_changes_no_bit(tmp_path: Path, undisturbed: str) -> None:
    """It is started again with --resume, while tasks of its first life may still be there."""
    rng = random.Random(8)
    for number in range(RUNS):
        model, way = model_in(tmp_path / str(number)), way_of(number, "coordinator")
        with training(model, *way) as run:
            run.until_step(rng.randrange(1, STEPS * 2 // 3))
            left = [*run.tasks().values()]
            run.process.kill()
            run.process.wait()
            assert finished(model, *way, "--resume")["weights_sha256"] == undisturbed, number
            assert not [pid for pid in left if lives(pid)]
    Figures().print("kill -9 of the coordinator", RUNS)


@pytest.mark.parametrize("victim", ["worker", "ps"])
def test_a_frozen_task_changes_no_bit(tmp_path: Path, undisturbed: str, victim: str) -> None:
    """It is seen within seconds and replaced; nothing of the frozen one is left."""
    rng, figures = random.Random(9), Figures()
    for number in range(RUNS):
        with training(model_in(tmp_path / str(number)), *way_of(number, victim)) as run:
            run.until_step(rng.randrange(1, STEPS * 2 // 3))
            pid, at = chosen(run, victim, rng), time.monotonic()
            death = Death(pid)
            os.kill(pid, signal.SIGSTOP)
            assert run.end()["weights_sha256"] == undisturbed, (number, run.warnings)
            figures.add(run, at)
            figures.detected.append(death.time() - at)
            ended(run)
    figures.print(f"SIGSTOP of a {victim}", RUNS)
    assert max(figures.detected) <= 5.0


def test_a_frozen_coordinator_changes_no_bit(tmp_path: Path, undisturbed: str) -> None:
    """Its tasks end meanwhile, since their lease runs out; it starts them again when it is back.

    The runs are frozen side by side: what they wait for is nothing but time.
    """
    rng = random.Random(10)
    together = 4
    for first in range(0, RUNS, together):
        models = [model_in(tmp_path / str(n)) for n in range(first, first + together)]
        with ExitStack() as stack:
            runs = [
                stack.enter_context(training(model, *way_of(k, "coordinator")))
                for k, model in enumerate(models)
            ]
            for run in runs:
                run.until_step(rng.randrange(1, STEPS // 2))
                os.kill(run.process.pid, signal.SIGSTOP)
            time.sleep(FROZEN_SECONDS)
            for run in runs:
                os.kill(run.process.pid, signal.SIGCONT)
            for run in runs:
                assert run.end()["weights_sha256"] == undisturbed, run.warnings
                ended(run)
    Figures().print(f"SIGSTOP of the coordinator for {FROZEN_SECONDS:g} s", RUNS)


class Death:
    """Tells when a process that lives now has ended: one that is frozen does when it is found out.
    """

    def __init__(self, pid: int):
        self._descriptor = os.pidfd_open(pid)
        self._time = 0.0
        self._thread = threading.Thread(target=self._wait)
        self._thread.start()

    def time(self) -> float:
        self._thread.join()
        return self._time

    def _wait(self) -> None:
        select.select([self._descriptor], [], [], DEATH_SECONDS)
        self._time = time.monotonic()
        os.close(self._descriptor)


def ended(run: Training) -> None:
    wait_until(lambda: not run.tasks(), 5.0)
    assert run.tasks() == {}


def wait_until(ready: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not ready() and time.monotonic() < deadline:
        time.sleep(0.05)
