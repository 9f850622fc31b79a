"""Training over several processes: the same weights as in one, whatever becomes of its tasks."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from cluster_runs import (
    STAGES,
    Worker,
    cluster_file,
    finished,
    listeners_of,
    lives,
    shared_memory_of,
    small_model,
    training,
    workers,
)
from command_line import run as run_here

WAYS = {
    "two workers and a ps": ("--local", "2"),
    "two workers and two ps": ("--local", "2", "--ps", "2"),
    "two workers without ps": ("--local", "2", "--sync", "all_reduce"),
    "three workers": ("--local", "3"),
}
LONG = 800  # steps: more than are done before a test has got hold of a task


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("project")


@pytest.fixture(scope="module")
def alone(project: Path) -> str:
    """The weights of one process."""
    return str(finished(small_model(project / "alone"))["weights_sha256"])


@pytest.fixture(scope="module")
def long_alone(project: Path) -> str:
    return str(finished(small_model(project / "long-alone", LONG, 200))["weights_sha256"])


@pytest.mark.parametrize("way", WAYS)
def test_the_weights_are_those_of_one_process(tmp_path: Path, alone: str, way: str) -> None:
    end = finished(small_model(tmp_path), *WAYS[way])
    assert (end["step"], end["weights_sha256"]) == (200, alone)


@pytest.mark.parametrize("way", [("--local", "2"), ("--local", "3", "--sync", "all_reduce")])
def test_native_tasks_have_the_weights_of_one_native_process(
    tmp_path: Path, way: tuple[str, ...]
) -> None:
    pytest.importorskip("llvmlite")
    native = ("--backend", "native")
    one, several = (
        finished(small_model(tmp_path / place, 50), *native, *where)["weights_sha256"]
        for place, where in (("one", ()), ("several", way))
    )
    assert one == several


def test_a_model_in_two_stages_has_the_weights_of_one_process(tmp_path: Path, alone: str) -> None:
    assert finished(small_model(tmp_path, more=STAGES), "--local", "2")["weights_sha256"] == alone


def test_and_so_has_one_that_the_compiler_cuts(tmp_path: Path, alone: str) -> None:
    model = small_model(tmp_path, more="place {\n  pipeline stages = 2, microbatches = 4\n}\n")
    assert finished(model, "--local", "2", "--ps", "0")["weights_sha256"] == alone


@pytest.mark.parametrize(
    "victim, way", [("worker:1", "two workers and a ps"), ("ps:1", "two workers and two ps"),
                    ("worker:0", "two workers without ps")])
def test_a_task_that_is_killed_changes_nothing(
    tmp_path: Path, long_alone: str, victim: str, way: str
) -> None:
    with training(small_model(tmp_path, LONG, 200), *WAYS[way]) as run:
        run.until_step(100)
        os.kill(run.tasks()[victim], signal.SIGKILL)
        end = run.end()
        assert end["weights_sha256"] == long_alone
        # A slow machine may also be told for whom the beginning waits.
        losses = [w for w in run.warnings if w["code"] in ("task-restarted", "task-left-out")]
        assert losses, run.warnings
        died = f"{victim} died (killed by SIGKILL) after step"
        assert losses[0]["message"].startswith(died)


def test_a_training_listens_on_loopback_alone_and_leaves_nothing(tmp_path: Path) -> None:
    with training(small_model(tmp_path, LONG, LONG), "--local", "2") as run:
        run.until_step(100)
        tasks = run.tasks()
        assert sorted(tasks) == ["ps:0", "worker:0", "worker:1"]
        assert listeners_of(run.process.pid) == []
        places = [place for pid in tasks.values() for place in listeners_of(pid)]
        assert [host for host, _ in places] == ["::ffff:127.0.0.1"] * 3
        assert shared_memory_of([*tasks.values()])
        run.end()
        assert not [pid for pid in tasks.values() if lives(pid)]
        assert shared_memory_of([*tasks.values()]) == []
        with ExitStack() as sockets:
            for _, port in places:
                free = sockets.enter_context(socket.socket())
                free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                free.bind(("127.0.0.1", port))


def test_tasks_end_soon_after_a_coordinator_that_is_killed(tmp_path: Path) -> None:
    with training(small_model(tmp_path, LONG, LONG), "--local", "2") as run:
        run.until_step(100)
        tasks = run.tasks()
        run.process.kill()
        run.process.wait()
        for pid in tasks.values():
            descriptor = _pidfd(pid)
            if descriptor is not None:
                _wait_for_end(descriptor)
        assert not [name for name, pid in tasks.items() if lives(pid)]


def test_a_loss_that_is_not_finite_is_told_as_in_one_process(tmp_path: Path) -> None:
    """With its line and its step, although the coordinator has asked for several steps."""
    told = []
    for name, arguments in {"alone": (), "over two": ("--local", "2")}.items():
        model = small_model(tmp_path / name)
        model.write_text(
            model.read_text()
            .replace("loss = mean(", "loss = mean(log(1.5 - square(mean(logits))) + ")
            .replace("0.1, steps", "40, steps").replace("checkpoint_every = 50", ""))
        with training(model, *arguments) as run:
            assert run.status() == 1
            event = run.events[-1]
            assert event["event"] == "error"
            told.append({
                key: event[key] for key in ("code", "op", "path", "step", "message")}
                | {"at": Path(event["at"]).name})
    for event in told:
        event["message"] = event["message"].partition("; the first")[0]
    assert told[0] == told[1]
    assert told[0]["code"] == "not-finite"
    assert told[0]["at"].startswith("small.flow:")


def test_data_that_a_host_does_not_have_are_told_with_its_name(tmp_path: Path) -> None:
    model = small_model(tmp_path)
    empty = tmp_path / "empty"
    empty.mkdir()
    log = tmp_path / "tasks.log"
    started = [Worker(log, "127.0.0.1:0", "--root", where) for where in (tmp_path, empty, empty)]
    with workers(*started):
        hosts = cluster_file(
            tmp_path / "hosts.yaml", [w.address for w in started], ["worker", "worker", "ps"])
        with training(model, "--cluster", hosts) as run:
            assert run.status() == 66
            assert "error[data-missing]: worker:1: " in run.errors
            assert str(empty) in run.errors


def test_a_stopped_training_goes_on_over_any_number_of_tasks(
    tmp_path: Path, long_alone: str
) -> None:
    """A checkpoint is of the model, not of the cluster."""
    model = small_model(tmp_path, LONG, 200)
    stopped(model, signal.SIGTERM, 75, "terminate", "--local", "2")
    stopped(model, signal.SIGINT, 130, "interrupt", "--resume")
    end = finished(model, "--local", "3", "--sync", "all_reduce", "--resume")
    assert end["weights_sha256"] == long_alone


def stopped(model: Path, number: int, status: int, reason: str, *arguments: str) -> None:
    """A training that a signal ends after some steps, with a checkpoint."""
    with training(model, *arguments) as run:
        first = run.until(lambda event: event["event"] == "start")["step"]
        run.until_step(first + 50)
        run.process.send_signal(number)
        assert run.status() == status
        end = run.events[-1]
        saved = [event for event in run.events if event["event"] == "checkpoint"]
        assert (end["event"], end["stopped"]) == ("end", reason)
        assert saved[-1]["step"] == end["step"]


def test_a_plan_that_is_not_the_one_stored_is_refused(tmp_path: Path) -> None:
    model = small_model(tmp_path, steps=20)
    stored = tmp_path / "stored.json"
    assert run_here("plan", model, "--local", "2", "-o", stored).exit_code == 0
    finished(model, "--local", "2", "--plan", stored)
    result = run_here("train", model, "--local", "3", "--plan", stored, "--out", tmp_path / "no")
    assert result.exit_code == 1
    assert "error[plan-drift]" in result.stderr
    assert not (tmp_path / "no").exists()


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _wait_for_end(descriptor: int) -> None:
    import select

    try:
        select.select([descriptor], [], [], 10.0)
    finally:
        os.close(descriptor)
