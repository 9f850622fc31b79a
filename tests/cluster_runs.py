"""Trainings over a cluster as processes: started, listened to, disturbed, and what they leave.

The tasks of a training are children of its coordinator. Each writes into a file of the run folder
that has its name, which says which process is which.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_ntop
from typing import Any

ROOT = Path(__file__).parent.parent
FASHION = ROOT / "models" / "data" / "fashion"
FLOWC = (sys.executable, "-m", "flowc.cli")
END_SECONDS = 120.0

# All that could depend on where a step is done: dropout, momentum, shuffling, a schedule.
SMALL = """
model small {
  input image: u8[batch, 28, 28]
  input label: i32[batch]
  hidden = cast(image, f32) / 255 |> flatten |> dense(WIDTH) |> relu |> dropout(0.3)
  logits = hidden |> dense(10)
  loss = mean(cross_entropy(logits, label))
  metric accuracy = mean(argmax(logits) == label)
}
data train = idx("train-images.gz", "train-labels.gz") |> take(2000) -> (image, label)
train {
  data = train |> shuffle
  batch = 48
  shards = 6
  steps = STEPS
  optimizer = sgd(lr = cosine(peak = 0.1, steps = 900), momentum = 0.9)
  seed = 5
  checkpoint_every = EVERY
}
"""
STAGES = "place {\n  stage on worker:0 { hidden }\n  stage on worker:1 { logits }\n}\n"

Event = dict[str, Any]


def small_model(
    folder: Path, steps: int = 200, every: int = 50, more: str = "", width: int = 64
) -> Path:
    """A model of three layers in a folder with its data; a step of it takes about a millisecond."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("train-images.gz", "train-labels.gz"):
        if not (folder / name).exists():
            (folder / name).write_bytes((FASHION / name).read_bytes())
    settings = {"STEPS": steps, "EVERY": every, "WIDTH": width}
    text = SMALL
    for name, value in settings.items():
        text = text.replace(name, str(value))
    path = folder / "small.flow"
    path.write_text(text + more)
    return path


class Training:
    """A `flowc train` that goes on. `events` are those that were read so far, `times` when."""

    def __init__(self, model: Path, *arguments: str | Path, out: Path | None = None):
        self.out = out or model.parent / "run"
        self.events: list[Event] = []
        self.times: list[float] = []  # monotonic seconds
        self._errors = model.parent / f"{self.out.name}.stderr"
        command = [*FLOWC, "train", model, "--json", "--out", self.out, *arguments]
        with self._errors.open("w") as errors:
            self.process = subprocess.Popen(
                list(map(str, command)), stdout=subprocess.PIPE, stderr=errors, text=True)

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def until(self, wanted: Callable[[Event], bool]) -> Event:
        """Reads events up to the first that is wanted; AssertionError if it does not come."""
        for event in self._more():
            if wanted(event):
                return event
        raise AssertionError(f"it ended before: {self.events[-1:]} {self.errors}")

    def until_step(self, number: int) -> Event:
        """A step is told, or more than a step: that number or a later one."""
        return self.until(lambda event: event["event"] == "step" and event["step"] >= number)

    def end(self) -> Event:
        """The event that a training ends with that went well."""
        status = self.status()
        assert status == 0, (status, self.events[-2:], self.errors)
        return self.events[-1]

    def status(self) -> int:
        """How the process ended, when it has; all its events are read."""
        for _ in self._more():
            pass
        return self.process.wait(END_SECONDS)

    @property
    def warnings(self) -> list[Event]:
        """About its tasks."""
        return [
            e for e in self.events if e["event"] == "warning" and e["code"].startswith("task-")]

    def tasks(self) -> dict[str, int]:
        """Its processes by what they are: `worker:0`, `ps:0`."""
        return tasks_of(self.process.pid)

    def _more(self) -> Iterator[Event]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event = json.loads(line)
            self.events.append(event)
            self.times.append(time.monotonic())
            yield event


@contextmanager
def training(
    model: Path, *arguments: str | Path, out: Path | None = None
) -> Iterator[Training]:
    """A training of which nothing is left in the end, whatever happens."""
    started = Training(model, *arguments, out=out)
    seen: set[int] = set()
    try:
        yield started
        seen |= set(started.tasks().values())
    finally:
        seen |= set(started.tasks().values())
        for pid in (started.process.pid, *seen):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        started.process.wait()
        if started.process.stdout is not None:
            started.process.stdout.close()


def finished(model: Path, *arguments: str | Path, out: Path | None = None) -> Event:
    """The last event of a training that nothing disturbs."""
    with training(model, *arguments, out=out) as run:
        return run.end()


def tasks_of(coordinator: int) -> dict[str, int]:
    """Task processes that are children of a process, by the names of their logs."""
    found = {}
    for pid in children_of(coordinator):
        with suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            log = Path(os.readlink(f"/proc/{pid}/fd/2"))
            if b"worker" in words and log.suffix == ".log":
                role, _, number = log.stem.rpartition("-")
                found[f"{role.replace('-', ':')}:{number}"] = pid
    return found


def children_of(parent: int) -> list[int]:
    """Processes that live and were started by this one; zombies are dead."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, ppid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if int(ppid) == parent and state != "Z":
                found.append(int(entry.name))
    return sorted(found)


def lives(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def listeners_of(pid: int) -> list[tuple[str, int]]:
    """Addresses and ports at which a process takes TCP connections."""
    sockets = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):
            sockets.add(os.readlink(descriptor))
    found = []
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                host, _, port = words[1].partition(":")
                found.append((_host(host), int(port, 16)))
    return found


def _host(text: str) -> str:
    """The kernel writes an address as words of four bytes, each with the last byte first."""
    raw = b"".join(bytes.fromhex(text[k : k + 8])[::-1] for k in range(0, len(text), 8))
    return inet_ntop(AF_INET if len(raw) == 4 else AF_INET6, raw)


def shared_memory_of(pids: Sequence[int]) -> list[str]:
    """What processes have in the system's shared memory, by the number in the name."""
    folder = Path("/dev/shm")
    return [p.name for p in folder.glob("flowc-*") if p.name.rpartition("-")[2] in map(str, pids)]


def resident_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def duty_cycle(pid: int, share: float = 0.1, period_seconds: float = 0.05) -> Iterator[None]:
    """The process runs for that share of the time only."""
    over = threading.Event()

    def drive() -> None:
        with suppress(ProcessLookupError):
            while not over.is_set():
                os.kill(pid, signal.SIGSTOP)
                over.wait(period_seconds * (1 - share))
                os.kill(pid, signal.SIGCONT)
                over.wait(period_seconds * share)

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


class Worker:
    """A `flowc worker` that somebody started by hand; `command` may go in front of it."""

    def __init__(self, log: Path, listen: str, *options: str | Path, command: Sequence[str] = ()):
        line = [*command, *FLOWC, "worker", "--listen", listen, *map(str, options)]
        with log.open("a") as errors:
            self.process = subprocess.Popen(
                line, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self.process.stdout is not None
        words = self.process.stdout.readline().split()
        assert words[:4] == ["flowc", "worker", "listens", "at"], log.read_text()
        self.address = words[4]
        self.pid = int(words[6].rstrip(")"))  # the command in front may have another

    def end(self) -> None:
        for pid in (self.pid, self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def workers(*started: Worker) -> Iterator[tuple[Worker, ...]]:
    """Ends them, whatever happens."""
    try:
        yield started
    finally:
        for worker in started:
            worker.end()


def cluster_file(
    path: Path, addresses: Sequence[str], roles: Sequence[str], more: str = ""
) -> Path:
    """Hosts of one task each, that others start."""
    hosts = [
        f"  host{k}: {{address: {address}, roles: [{role}], start: none}}"
        for k, (address, role) in enumerate(zip(addresses, roles, strict=True))
    ]
    path.write_text("\n".join(["hosts:", *hosts, more, ""]))
    return path
