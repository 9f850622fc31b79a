"""Real processes: started, found, killed, and gone when they should be."""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stand_in import SIZE, after, counting_plan

from flowc_runtime.checkpoint.manifest import Position
from flowc_runtime.cluster.control.client import probe
from flowc_runtime.cluster.coordinator.engine import ClusterEngine
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.launch import Place
from flowc_runtime.cluster.launch.by_hand import ByHand
from flowc_runtime.cluster.launch.local import local_children
from flowc_runtime.cluster.launch.processes import Processes, ending
from flowc_runtime.cluster.launch.ssh import over_ssh
from flowc_runtime.cluster.plan import tasks_of
from flowc_runtime.device import NonFinite
from flowc_runtime.events import Warning

STAND_IN = (sys.executable, str(Path(__file__).with_name("stand_in.py")), "worker")
SECONDS = 10.0
PLAN = counting_plan(2)
NAMES = tuple(str(task) for task in tasks_of(PLAN))


def places(start: Any = "local", **extra: str) -> list[Place]:
    return [Place(name, "127.0.0.1:0", start, **extra) for name in NAMES]


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Callable[..., Processes]]:
    made: list[Processes] = []

    def make(command: Sequence[str] = STAND_IN) -> Processes:
        made.append(local_children(places(), 1, tmp_path, command))
        return made[-1]

    yield make
    for one in made:
        one.close()


def pid_of(address: str) -> int:
    return probe(address, None, SECONDS).pid


def is_gone(pid: int) -> bool:
    """Whether the process is over; waited for, since its parent may have to be."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT) is not None
    except ChildProcessError:
        return not Path(f"/proc/{pid}").exists()


# --- launchers --------------------------------------------------------------------------


def test_a_child_listens_where_it_says(children: Callable[..., Processes]) -> None:
    launcher = children()
    address = launcher.start("worker:0")
    assert launcher.addresses()["worker:0"] == address
    assert pid_of(address) != os.getpid()
    assert launcher.watch("worker:0", 0.0) is None


def test_a_child_that_is_killed_is_seen_to_be(children: Callable[..., Processes]) -> None:
    launcher = children()
    os.kill(pid_of(launcher.start("worker:0")), signal.SIGKILL)
    assert launcher.watch("worker:0", SECONDS) == "died (killed by SIGKILL)"


def test_a_restart_leaves_nothing_of_the_life_before(children: Callable[..., Processes]) -> None:
    launcher = children()
    before = pid_of(launcher.start("worker:0"))
    os.kill(before, signal.SIGSTOP)  # so that it cannot end by itself
    assert pid_of(launcher.restart("worker:0")) != before
    assert is_gone(before)


def test_no_child_is_left_when_the_launcher_closes(children: Callable[..., Processes]) -> None:
    launcher = children()
    pids = [pid_of(launcher.start(name)) for name in NAMES]
    launcher.close()
    assert all(map(is_gone, pids))


def test_a_child_that_dies_at_once_says_why(children: Callable[..., Processes]) -> None:
    launcher = children((sys.executable, "-c", "raise SystemExit('no such library')"))
    with pytest.raises(ClusterError, match="no such library") as failed:
        launcher.start("worker:0")
    assert failed.value.code == "task-not-started"


def test_a_command_that_is_not_there_is_named(children: Callable[..., Processes]) -> None:
    with pytest.raises(ClusterError, match="no-such-flowc: No such file"):
        children(("no-such-flowc",)).start("worker:0")


def test_children_end_with_the_one_who_started_them(tmp_path: Path) -> None:
    parent = (
        "import sys, time\n"
        "from flowc_runtime.cluster.launch import Place\n"
        "from flowc_runtime.cluster.launch.local import local_children\n"
        "places = [Place('worker:0', '127.0.0.1:0', 'local')]\n"
        f"launcher = local_children(places, 1, None, {list(STAND_IN)!r})\n"
        "print(launcher.start('worker:0'), flush=True)\n"
        "time.sleep(60)\n"
    )
    import subprocess

    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = pid_of(process.stdout.readline().decode().strip())
        process.kill()
        # It holds the pipe open that its parent had, so the end of it is the end of the child.
        child = os.pidfd_open(pid)
        import select

        ended, _, _ = select.select([child], [], [], SECONDS)
        os.close(child)
        assert ended


@pytest.mark.parametrize(
    ("status", "words"),
    [(-9, "died (killed by SIGKILL)"), (-11, "died (killed by SIGSEGV)"), (3, "ended (status 3)")],
)
def test_the_end_of_a_process_in_words(status: int, words: str) -> None:
    assert ending(status) == words


def fake_ssh(folder: Path) -> tuple[str, ...]:
    """Runs the command here, as ssh would over there; notes down how it was called."""
    script = folder / "ssh"
    script.write_text(f'#!/bin/sh\necho "$@" >> {folder}/calls\nshift 2\nexec sh -c "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return (str(script),)


def test_tasks_are_started_through_ssh(tmp_path: Path) -> None:
    command = tmp_path / "flowc"
    command.write_text("#!/bin/sh\nexec " + " ".join(STAND_IN[:2]) + ' "$@"\n')
    command.chmod(0o700)
    there = [Place("worker:0", "127.0.0.1:0", "ssh", "user@host", str(command))]
    launcher = over_ssh(there, 1, tmp_path, fake_ssh(tmp_path))
    try:
        pid = pid_of(launcher.start("worker:0"))
        called = (tmp_path / "calls").read_text()
        assert called.startswith("-- user@host env ")
        assert "OPENBLAS_NUM_THREADS=1" in called and "--until-eof" in called
    finally:
        launcher.close()
    assert is_gone(pid)


def test_ssh_that_does_not_get_there_says_so(tmp_path: Path) -> None:
    script = "import sys; sys.stderr.write('Permission denied (publickey).'); sys.exit(255)"
    launcher = over_ssh(places("ssh"), 1, tmp_path, (sys.executable, "-c", script))
    with pytest.raises(ClusterError, match="Permission denied"):
        launcher.start("worker:0")
    launcher.close()


# --- a training with real processes ------------------------------------------------------


class Training:
    """Drives an engine as a training loop does."""

    def __init__(self, launcher: Any, tasks: list[Place], data: str = "", step: int = 0):
        self.w = np.full(SIZE, after(step), np.float32)
        self.notices: list[Warning] = []
        self.launcher = launcher
        self.engine = ClusterEngine(
            PLAN, "plan", data, 1, 1, "numpy", tasks, launcher, None, {"w": self.w},
            self.notices.append)
        self.step = step

    def __enter__(self) -> Training:
        self.engine.begin(Position(self.step))
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()

    def to(self, until: int) -> float:
        """The loss after step number `until`."""
        while self.step < until:
            done = self.engine.advance(Position(self.step), until)
            self.step += done.steps
        return float(done.outputs["loss"])

    def settled(self) -> float:
        """What `w` is after the last step; all of it is the same."""
        self.engine.settle()
        assert np.all(self.w == self.w[0])
        return float(self.w[0])

    def kill(self, task: str, number: int = signal.SIGKILL) -> None:
        os.kill(pid_of(self.launcher.addresses()[task]), number)


def test_a_training_over_processes_comes_to_its_end(children: Callable[..., Processes]) -> None:
    with Training(children(), places()) as training:
        assert training.to(50) == 50.0
        assert training.settled() == after(50)
        pids = [pid_of(address) for address in training.launcher.addresses().values()]
    assert all(map(is_gone, pids))
    assert training.notices == []


def test_a_training_goes_on_from_where_it_stood(children: Callable[..., Processes]) -> None:
    with Training(children(), places(), step=30) as training:
        training.to(40)
        assert training.settled() == after(40)


def test_a_worker_that_is_killed_changes_nothing(children: Callable[..., Processes]) -> None:
    with Training(children(), places()) as training:
        training.to(20)
        training.kill("worker:1")
        while not any(notice.code == "task-back" for notice in training.notices):
            training.to(training.step + 1)
        assert training.settled() == after(training.step)
    assert "worker:1 died (killed by SIGKILL) after step" in training.notices[0].message


def test_all_workers_that_are_killed_change_nothing(children: Callable[..., Processes]) -> None:
    with Training(children(), places()) as training:
        training.to(20)
        training.settled()
        training.to(30)
        for name in NAMES:
            training.kill(name)
        training.to(60)
        assert training.settled() == after(60)


def test_a_loss_that_is_not_finite_ends_the_training_as_in_one_process(
    children: Callable[..., Processes],
) -> None:
    with Training(children(), places(), "fail 7") as training:
        with pytest.raises(NonFinite) as failed:
            training.to(50)
    assert (failed.value.op, failed.value.at, failed.value.detail) == (
        "log", "m.flow:1:2", "the end")


def test_a_task_that_does_not_start_ends_the_training(children: Callable[..., Processes]) -> None:
    launcher = children((sys.executable, "-c", "raise SystemExit('no such library')"))
    training = Training(launcher, places())
    with pytest.raises(ClusterError, match="no such library") as failed, training:
        pass
    assert failed.value.code == "task-not-started"


def test_tasks_that_others_started_are_found_and_stay(children: Callable[..., Processes]) -> None:
    others = children((*STAND_IN, "--keep"))
    found = [Place(name, others.start(name), "none") for name in NAMES]
    for end in (20, 30):
        with Training(ByHand(found), found) as training:
            training.to(end)
            assert training.settled() == after(end)
    assert all(others.watch(name, 0.0) is None for name in NAMES)
