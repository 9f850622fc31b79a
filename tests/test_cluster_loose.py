"""Steps that do not wait for everybody: every gradient is counted, as applied or as dropped.

How much faster such steps are is a matter of measurement: `benchmarks/backup.py`.
"""

from __future__ import annotations

from pathlib import Path

from cluster_runs import Event, Training, duty_cycle, small_model, training

STEPS = 300


def counted(run: Training) -> dict[str, Event]:
    """The last word on each worker's gradients."""
    assert run.end()["step"] == STEPS
    return {e["worker"]: e for e in run.events if e["event"] == "gradients"}


def test_with_a_backup_worker_all_but_one_gradient_of_a_step_count(tmp_path: Path) -> None:
    model = small_model(tmp_path, STEPS, STEPS)
    with training(model, "--local", "3", "--sync", "backup(1)") as run:
        workers = counted(run)
    assert sorted(workers) == ["worker:0", "worker:1", "worker:2"]
    assert sum(w["applied"] for w in workers.values()) == 2 * STEPS
    assert sum(w["dropped"] for w in workers.values()) == STEPS


def test_it_is_the_slow_worker_whose_gradients_are_dropped(tmp_path: Path) -> None:
    model = small_model(tmp_path, STEPS, STEPS)
    with training(model, "--local", "3", "--sync", "backup(1)") as run:
        run.until(lambda event: event["event"] == "step")
        with duty_cycle(run.tasks()["worker:1"]):
            workers = counted(run)
    assert max(workers, key=lambda name: workers[name]["dropped"]) == "worker:1"


def test_an_asynchronous_step_applies_one_gradient(tmp_path: Path) -> None:
    model = small_model(tmp_path, STEPS, STEPS)
    with training(model, "--local", "2", "--sync", "async(4)") as run:
        workers = counted(run)
    assert sorted(workers) == ["worker:0", "worker:1"]
    assert sum(w["applied"] for w in workers.values()) == STEPS
    assert all(w["applied"] and not w["dropped"] for w in workers.values())
    assert all(w["staleness"] <= 2 * 4 + 1 for w in workers.values())
