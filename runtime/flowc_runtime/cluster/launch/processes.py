"""Processes that stand for tasks: a worker each, here or at the other end of an ssh connection.

A worker that was started so reads its standard input, which says nothing and ends when whoever
started it is gone: then it ends as well. Its first line of output says where it listens.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.launch import Place

START_SECONDS = 45.0
END_SECONDS = 2.0  # for a process that is asked to end
TAIL_LINES = 6  # of a task's output that are shown when it dies
TAIL_BYTES = 4000

LISTENS = re.compile(rb"listens at \S*?:(?P<port>\d+)(?: \(pid (?P<pid>\d+)\))?\s*$")


@dataclass(frozen=True)
class Command:
    """What is run for a task, with additions to the environment."""

    line: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Child:
    process: subprocess.Popen[bytes]
    log: Path
    pid: int | None = None  # of the worker, as it says itself


class Processes:
    """`command_of` gives the command of a task, `lost` may know how to end one out of reach.

    Each is the leader of a process group of its own, so that Ctrl-C is the coordinator's alone.
    """

    def __init__(
        self, places: Sequence[Place], command_of: Callable[[Place], Command], logs: Path | None,
        lost: Callable[[Place, int], None] | None = None,
    ):  # fmt: skip
        self._places = {place.task: place for place in places}
        self._addresses = {place.task: place.address for place in places}
        self._command_of = command_of
        self._lost = lost
        self._own_logs = None if logs else tempfile.TemporaryDirectory(prefix="flowc-tasks-")
        self._logs = logs or Path(self._own_logs.name if self._own_logs else "")
        self._children: dict[str, Child] = {}
        self._lock = threading.Lock()
        self._closed = False

    def start(self, task: str) -> str:
        place = self._places[task]
        child = self._spawn(task, self._command_of(place))
        said = _first_line(child.process.stdout, START_SECONDS)
        found = LISTENS.search(said)
        if found is None:
            self._end(task, child)
            raise ClusterError("task-not-started", _not_started(child, said))
        child.pid = int(found["pid"]) if found["pid"] else None
        host = place.address.rpartition(":")[0]
        self._addresses[task] = f"{host}:{found['port'].decode()}"
        return self._addresses[task]

    def restart(self, task: str) -> str:
        child = self._children.pop(task, None)
        if child is not None:
            self._end(task, child)
        return self.start(task)

    def watch(self, task: str, seconds: float) -> str | None:
        child = self._children.get(task)
        if child is None:
            return None
        with contextlib.suppress(subprocess.TimeoutExpired):
            return ending(child.process.wait(seconds), _tail(child.log))
        return None

    def addresses(self) -> Mapping[str, str]:
        return self._addresses

    def close(self) -> None:
        """Asks all to end, which they do at once when their coordinator has; then ends them."""
        with self._lock:
            self._closed = True
        for child in self._children.values():
            _close(child.process.stdin)
        until = time.monotonic() + END_SECONDS
        for task, child in self._children.items():
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, until - time.monotonic()))
            self._end(task, child)
        if self._own_logs is not None:
            self._own_logs.cleanup()

    def _spawn(self, task: str, command: Command) -> Child:
        log = self._logs / f"{task.replace(':', '-').replace('/', '-')}.log"
        with self._lock, log.open("ab") as errors:
            if self._closed:
                raise ClusterError("task-not-started", "the training is over")
            try:
                process = subprocess.Popen(
                    list(command.line), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                    stderr=errors, env={**os.environ, **command.environment},
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                raise ClusterError(
                    "task-not-started", f"{command.line[0]}: {error.strerror}") from error
            child = self._children[task] = Child(process, log)
        return child

    def _end(self, task: str, child: Child) -> None:
        """Nothing is left of it when this returns, as far as we can reach."""
        process = child.process
        _close(process.stdin)
        if self._lost is not None and child.pid is not None:
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._lost(self._places[task], child.pid)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        _close(process.stdout)


def ending(status: int, tail: str = "") -> str:
    """How a process ended, as it reads behind its name."""
    if status < 0:
        return f"died (killed by {signal.Signals(-status).name})"
    said = f": {tail.splitlines()[-1]}" if tail and status else ""
    return f"ended (status {status}){said}"


def _close(pipe: IO[bytes] | None) -> None:
    if pipe is not None:
        with contextlib.suppress(OSError):
            pipe.close()


def _first_line(pipe: IO[bytes] | None, seconds: float) -> bytes:
    """A line within the time, or what there was of one."""
    assert pipe is not None
    said, until = b"", time.monotonic() + seconds
    while not said.endswith(b"\n"):
        ready, _, _ = select.select([pipe], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(pipe.fileno(), 4096) if ready else b""
        if not piece:
            break
        said += piece
    return said


def _tail(log: Path) -> str:
    """The last lines that a task wrote."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - TAIL_BYTES))
            lines = file.read().decode(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-TAIL_LINES:])


def _not_started(child: Child, said: bytes) -> str:
    status = child.process.returncode
    how = ending(status) if status != -signal.SIGKILL else "did not say where it listens"
    tail = _tail(child.log) or said.decode(errors="replace").strip()
    return f"it could not be started: {how}" + (f"\n{tail}" if tail else "")
