"""`--backend cuda` on the stand-in for a GPU: nothing else of a command is different."""

from __future__ import annotations

import ctypes.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run
from gpu_stand_in.build import StandInCompiler
from zoo import FOLDER

from flowc_runtime.cuda import device


@pytest.fixture(autouse=True)
def compiler(stand_in: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "find_compiler", StandInCompiler)


def last_loss(done: object) -> float:
    lines = [line for line in str(getattr(done, "stdout", "")).splitlines() if "loss" in line]
    return float(lines[-1].split("loss")[1].split()[0].strip(":,"))


def test_a_model_trains_is_resumed_and_is_evaluated(tmp_path: Path) -> None:
    model, out = FOLDER / "spiral.flow", tmp_path / "run"
    first = run("train", model, "--backend", "cuda", "--steps", "10", "--out", out)
    assert first.exit_code == 0, first.stderr
    more = run("train", model, "--backend", "cuda", "--steps", "20", "--out", out, "--resume")
    assert more.exit_code == 0, more.stderr
    losses = []
    for backend in ("cuda", "numpy"):
        done = run("eval", model, "--weights", out, "--backend", backend)
        assert done.exit_code == 0, done.stderr
        losses.append(last_loss(done))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_tasks_of_a_cluster_do_not_compute_on_it(tmp_path: Path) -> None:
    model = FOLDER / "spiral.flow"
    done = run("train", model, "--backend", "cuda", "--local", "2", "--out", tmp_path / "run")
    assert done.exit_code != 0 and "not yet with cuda" in done.stderr


OPENING = """
import sys
from gpu_stand_in.build import load_driver
from flowc_runtime.cuda.driver import open_driver
from flowc_runtime.device import BackendError
if "stand-in" in sys.argv:
    load_driver()
try:
    open_driver()
    print("opened")
except BackendError as missing:
    print(missing.code)
"""


def opening(*arguments: str, **environment: str) -> str:
    """What the real PyCUDA says in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", OPENING, *arguments], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent), **environment})
    return done.stdout.strip() or done.stderr


def test_what_is_missing_is_told_by_the_real_pycuda() -> None:
    assert opening("stand-in") == "opened"
    assert opening("stand-in", STAND_IN_DEVICES="0") == "cuda-device"
    if ctypes.util.find_library("cuda") is None:
        assert opening() == "cuda-driver"
