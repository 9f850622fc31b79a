"""Processes that keep the other cores busy, so that one can see what that costs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

from flowc_runtime.cores import usable_cores

READY = "ready"
START_SECONDS = 60.0
END_SECONDS = 5.0


def crowd(
    arguments: Sequence[str], threads: int
) -> Callable[[], AbstractContextManager[None]] | None:
    """What keeps the cores busy that `threads` leave: `flowc ARGUMENTS --neighbour` on each; None
    where there are none."""
    others = usable_cores() // threads - 1
    if others < 1:
        return None
    return lambda: neighbours([*arguments, "--neighbour"], others)


@contextmanager
def neighbours(arguments: Sequence[str], count: int) -> Iterator[None]:
    """`flowc ARGUMENTS` so many times; they end with the block, or with this process.

    They are there when the block begins. RuntimeError where one does not come up.
    """
    command = [sys.executable, "-m", "flowc.cli", *arguments]
    started = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    try:
        for process in started:
            _await(process)
        yield
    finally:
        for process in started:
            _end(process)


def _await(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    timer = threading.Timer(START_SECONDS, process.kill)
    timer.start()
    try:
        if process.stdout.readline().strip() != READY:
            raise RuntimeError("a process that should keep a core busy did not start")
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(END_SECONDS)
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def be_neighbour(work: Callable[[], None]) -> None:
    """Works until whoever started this process closes its end of stdin, or is gone."""
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    print(READY, flush=True)
    while True:
        work()


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)
