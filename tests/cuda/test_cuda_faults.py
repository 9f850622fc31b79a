"""The stand-in for a GPU finds what is wrong: faults of each kind are planted, one at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SEEDS = [str(seed) for seed in range(1, 9)]
ROOM = "flowc_runtime.cuda"
# What is planted: the module, the line, and what stands there instead.
WRONG = {
    "an instruction waits for no other lane": (
        "program", "stream.wait_for_event(self._done[other])", "pass"),
    "a pinned slot is filled while it is copied": (
        "crossing", "slot.copied.synchronize()", "pass"),
    "a slot on the GPU is filled while it is read": (
        "crossing", "self._stream.wait_for_event(slot.used)", "pass"),
    "inputs are used before they are there": (
        "crossing", "main.wait_for_event(slot.copied)", "pass"),
    "outputs are read before they are there": ("crossing", "main.synchronize()", "pass"),
    "variables are not taken from the host": (
        "memory", "self._variables_here = False\n        self._write", "self._variables_here = "
        "True\n        self._write"),
    "a tile is used before it is whole": (
        "products", 'yield "    __syncthreads();"\n        yield from indented(list(self._add()))',
        "yield from indented(list(self._add()))"),
    "a tile is overwritten while it is used": (
        "products", 'yield "    __syncthreads();"\n        yield "}"', 'yield "}"'),
    "a sum is halved without waiting": (
        "reductions", '"    __syncthreads();",\n            "    if (y', '"    if (y'),
}  # fmt: skip
# Those that no result shows, because the run ends there and then.
ENDED = {
    "a barrier that half of the threads reach": (
        "reductions", '"    __syncthreads();",\n            "    if (y < half) {",',
        '"    if (y < half) {", "    __syncthreads();",',
        "a barrier or shuffle is not reached by every thread"),
    "a lane does not wait for the first": (
        "program", "streams[lane].wait_for_event(self._fork)", "pass",
        "waiting for what is not captured"),
    "a lane is not joined to the first": (
        "program", "main.wait_for_event(self._joins[lane])", "pass", "a stream was not joined"),
    "a copy that is longer than the memory": (
        "memory", "self.gpu.driver.memcpy_dtoh_async(target, address",
        "self.gpu.driver.memcpy_dtoh_async(target, address + 2**24", "outside of memory"),
}  # fmt: skip


def planted(module: str, line: str, instead: str) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).with_name("planted.py")
    return subprocess.run(
        [sys.executable, str(script), f"{ROOM}.{module}", line, instead, *SEEDS],
        capture_output=True, text=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})


def test_without_a_fault_all_is_equal(stand_in: None) -> None:
    done = planted("program", "main.wait_for_event", "main.wait_for_event")
    assert done.stdout == "equal\n", done.stderr


@pytest.mark.parametrize("fault", WRONG)
def test_a_fault_gives_a_wrong_result(fault: str, stand_in: None) -> None:
    done = planted(*WRONG[fault])
    assert done.stdout == "wrong\n", done.stderr


@pytest.mark.parametrize("fault", ENDED)
def test_a_fault_ends_the_run(fault: str, stand_in: None) -> None:
    *where, message = ENDED[fault]
    done = planted(*where)
    assert done.returncode != 0 and message in done.stderr
