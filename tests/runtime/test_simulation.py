"""Thousands of trainings with faults, on virtual time. A seed that fails can be had again:

`python -m flowc_runtime.cluster.simulator SEED`
"""

from __future__ import annotations

import pytest

from flowc_runtime.cluster.coordinator import agreement
from flowc_runtime.cluster.simulator import Broken, simulate
from flowc_runtime.cluster.simulator.task import TaskModel


def expect_sound(seeds: range) -> int:
    """How many generations there were; each run is at its end, with the undisturbed variables."""
    generations = 0
    for seed in seeds:
        try:
            generations += simulate(seed).generations
        except Exception as error:
            again = f"python -m flowc_runtime.cluster.simulator {seed}"
            raise AssertionError(f"seed {seed} ({again}): {error}") from error
    return generations


@pytest.mark.parametrize("part", range(5))
def test_whatever_happens_every_step_is_applied_once(part: int) -> None:
    assert expect_sound(range(100 * part, 100 * (part + 1))) > 100


@pytest.mark.soak
@pytest.mark.parametrize("part", range(20))
def test_whatever_happens_in_many_runs_every_step_is_applied_once(part: int) -> None:
    expect_sound(range(1000 * (part + 1), 1000 * (part + 2)))


def test_a_run_is_the_same_each_time() -> None:
    assert simulate(48) == simulate(48)


def test_the_simulation_finds_variables_of_different_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    def newest(groups: object, stands: dict[str, int], members: object) -> int | None:
        return max((s for s in stands.values() if s >= 0), default=None)

    monkeypatch.setattr(agreement, "common_step", newest)
    assert finds_a_mistake()


def test_the_simulation_finds_a_step_that_is_done_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    load = TaskModel._load

    def forgetful(self: TaskModel, command: object) -> None:
        kept = self.value
        load(self, command)  # type: ignore[arg-type]
        self.value = self.value if kept is None else kept

    monkeypatch.setattr(TaskModel, "_load", forgetful)
    assert finds_a_mistake()


def finds_a_mistake() -> bool:
    for seed in range(500):
        try:
            simulate(seed)
        except (Broken, AssertionError, StopIteration):
            return True
    return False
