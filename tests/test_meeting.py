"""What it costs tasks to meet, found from what a step of theirs took."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from flowc.cluster import local
from flowc.costs import Calibration, CostModel, default_calibration
from flowc.diagnostic import Sink
from flowc.planning.compiled import Compiled, compile_for
from flowc.planning.meeting import READING, SPREAD, SWITCH, Question, Trial, measure_meeting
from flowc.predict import predict
from flowc.source import Source

ASSUMED = default_calibration()


def compiled(question: Question, cores: int) -> Compiled:
    source = Source("meeting.flow", question.text(2))
    found = compile_for(source, Sink(), {}, local(2, 1), None)
    assert found.tasks is not None
    tasks = {name: replace(spec, cores=cores) for name, spec in found.tasks.items()}
    return replace(found, tasks=tasks)


def took(of: Compiled, costs: Calibration) -> float:
    """The seconds of a step with such costs."""
    assert of.parts and of.tasks and of.cluster
    return predict(of.parts, of.tasks, of.cluster.link, lambda host: CostModel(costs)).step_seconds


@pytest.mark.parametrize("question, figure", [
    (SWITCH, 40e-6), (SWITCH, 300e-6), (READING, 3e-10), (READING, 1e-9), (SPREAD, 0.05),
    (SPREAD, 0.4),
])  # fmt: skip
def test_what_a_step_was_made_with_is_found(question: Question, figure: float) -> None:
    trial = compiled(question, cores=2)
    measured = took(trial, replace(ASSUMED, meeting=question.meeting(ASSUMED.meeting, figure)))
    found = Trial(question, trial, ASSUMED, measured).fit(ASSUMED.meeting)
    assert found == pytest.approx(figure, rel=0.02)


def test_tasks_with_cores_of_their_own_say_nothing_of_switches() -> None:
    trial = Trial(SWITCH, compiled(SWITCH, cores=4), ASSUMED, 1e-3)
    assert trial.fit(ASSUMED.meeting) is None


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no way to choose cores")
def test_something_else_than_what_is_assumed_is_found_here() -> None:
    before = os.sched_getaffinity(0)
    found = measure_meeting(ASSUMED)
    assert found.meeting != ASSUMED.meeting
    assert replace(found, meeting=ASSUMED.meeting) == ASSUMED
    assert os.sched_getaffinity(0) == before
