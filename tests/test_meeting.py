"""What it costs tasks to meet, found from what a step of theirs took."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from flowc.cluster import local
from flowc.costs import Calibration, CostModel, Meeting, default_calibration
from flowc.diagnostic import Sink
from flowc.planning.compiled import Compiled, compile_for
from flowc.planning.meeting import LARGE, READING, SMALL, SWITCHES, TEXT, Trial, measure_meeting
from flowc.predict import predict
from flowc.source import Source

ASSUMED = default_calibration()


def compiled(width: int, cores: int) -> Compiled:
    source = Source("meeting.flow", TEXT.format(width=width, batch=2))
    found = compile_for(source, Sink(), {}, local(2, 1), None)
    assert found.tasks is not None
    tasks = {name: replace(spec, cores=cores) for name, spec in found.tasks.items()}
    return replace(found, tasks=tasks)


def took(of: Compiled, costs: Calibration) -> float:
    """The seconds of a step with such costs."""
    assert of.parts and of.tasks and of.cluster
    return predict(of.parts, of.tasks, of.cluster.link, lambda host: CostModel(costs)).step_seconds


def switching(seconds: float) -> Meeting:
    return replace(ASSUMED.meeting, switch_seconds=seconds)


def reading(seconds: float) -> Meeting:
    return replace(ASSUMED.meeting, bytes_per_s=1 / seconds)


@pytest.mark.parametrize("width, ends, meeting_of, seconds", [
    (SMALL, SWITCHES, switching, 40e-6), (SMALL, SWITCHES, switching, 300e-6),
    (LARGE, READING, reading, 3e-10), (LARGE, READING, reading, 1e-9),
])  # fmt: skip
def test_what_a_step_was_made_with_is_found(
    width: int, ends: tuple[float, float], meeting_of: Callable[[float], Meeting], seconds: float
) -> None:
    trial = compiled(width, cores=2)
    measured = took(trial, replace(ASSUMED, meeting=meeting_of(seconds)))
    assert Trial(trial, ASSUMED, measured).fit(meeting_of, ends) == pytest.approx(seconds, rel=0.02)


def test_tasks_with_cores_of_their_own_say_nothing_of_switches() -> None:
    assert Trial(compiled(SMALL, cores=4), ASSUMED, 1e-3).fit(switching, SWITCHES) is None


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no way to choose cores")
def test_something_else_than_what_is_assumed_is_found_here() -> None:
    before = os.sched_getaffinity(0)
    found = measure_meeting(ASSUMED)
    assert found.meeting != ASSUMED.meeting
    assert replace(found, meeting=ASSUMED.meeting) == ASSUMED
    assert os.sched_getaffinity(0) == before
