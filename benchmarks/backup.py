"""What a backup worker is worth: the time of a step where one of four workers is slow.

    python benchmarks/backup.py [--model M.flow] [--seconds 12] [--share 0.1]

One worker gets a tenth of its time only: it is stopped and let go on, twenty times a second. Each
figure is the median of the step times between the logs of a run; all runs follow each other on one
machine, so compare them with each other alone.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 4
PERIOD_SECONDS = 0.05
SKIPPED_SECONDS = 2.0  # after the slow worker has become slow
RUNS = {
    "sync, all healthy": ("sync", False),
    "sync, one slow": ("sync", True),
    "backup(1), all healthy": ("backup(1)", False),
    "backup(1), one slow": ("backup(1)", True),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "fashion_mlp.flow")
    parser.add_argument("--seconds", type=float, default=12.0, help="measured, of each run")
    parser.add_argument("--share", type=float, default=0.1, help="of its time, for the slow one")
    options = parser.parse_args()
    milliseconds = {}
    for name, (sync, slow) in RUNS.items():
        share = options.share if slow else None
        seconds, gradients = measured(options.model, sync, share, options.seconds)
        milliseconds[name] = 1000 * seconds
        print(f"{name:24} {1000 * seconds:8.2f} ms a step   {gradients}", flush=True)
    healthy = milliseconds["sync, all healthy"]
    for name in ("sync, one slow", "backup(1), one slow"):
        print(f"{name}: {milliseconds[name] / healthy:.2f} times the healthy step")


def measured(model: Path, sync: str, share: float | None, seconds: float) -> tuple[float, str]:
    """Seconds a step, and what became of the gradients."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "flowc.cli", "train", str(model), "--local", str(WORKERS),
            "--sync", sync, "--steps", "1000000", "--json", "--out", f"{folder}/run",
            "-D", "train.validate_every=1000000", "-D", f"train.shards={WORKERS}"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        try:
            return _follow(process, Path(folder) / "run", share, seconds)
        finally:
            process.kill()
            process.wait()


def _follow(
    process: subprocess.Popen[str], run: Path, share: float | None, seconds: float
) -> tuple[float, str]:
    assert process.stdout is not None
    events = map(json.loads, process.stdout)
    next(event for event in events if event["event"] == "step")
    slow = duty_cycle(task(process.pid, run, "worker-1"), share) if share else nullcontext()
    with slow:
        found = steps_within(events, SKIPPED_SECONDS, seconds)
        process.send_signal(signal.SIGTERM)
        gradients = {
            e["worker"]: e for e in events if e["event"] == "gradients"}
    return found, ", ".join(
        f"{name} {e['applied']}/{e['applied'] + e['dropped']}"
        for name, e in sorted(gradients.items()))


def steps_within(events: Iterator[dict[str, Any]], skip: float, seconds: float) -> float:
    """The median over the logs of what a step took."""
    began, before, found = time.monotonic(), (0.0, 0), []
    for event in events:
        now = time.monotonic()
        if event["event"] == "step":
            if before[1] and now - began > skip:
                found.append((now - before[0]) / (event["step"] - before[1]))
            before = (now, event["step"])
        if now - began > skip + seconds:
            return median(found)
    raise SystemExit("the training ended before it was measured")


def task(coordinator: int, run: Path, name: str) -> int:
    """The process that writes the log of that name."""
    log = str((run / "tasks" / f"{name}.log").resolve())
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == coordinator and os.readlink(entry / "fd" / "2") == log:
                return int(entry.name)
    raise SystemExit(f"no process writes {log}")


@contextmanager
def duty_cycle(pid: int, share: float) -> Iterator[None]:
    """The process runs for that share of the time only."""
    over = threading.Event()

    def drive() -> None:
        with suppress(ProcessLookupError):
            while not over.is_set():
                os.kill(pid, signal.SIGSTOP)
                over.wait(PERIOD_SECONDS * (1 - share))
                os.kill(pid, signal.SIGCONT)
                over.wait(PERIOD_SECONDS * share)

    thread = threading.Thread(target=drive)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


if __name__ == "__main__":
    main()
