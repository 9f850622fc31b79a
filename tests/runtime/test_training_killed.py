"""Real processes, killed for real: what they resume to is what they would have come to."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("train_linear.py")
STEPS = 200
FOR_EVER = 10**9


def training(folder: Path, *flags: str, steps: int = STEPS) -> subprocess.Popen[str]:
    command = [sys.executable, str(SCRIPT), str(folder), str(steps), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("\n"):  # the last one may be cut off
            yield json.loads(line)


def end_of(folder: Path, *flags: str) -> dict[str, Any]:
    with training(folder, *flags) as process:
        *_, last = events(process)
    assert process.returncode == 0
    assert last["event"] == "end"
    return last


def kill_after(lines: int, folder: Path, *flags: str) -> None:
    with training(folder, *flags) as process:
        for number, _ in enumerate(events(process)):
            if number == lines:
                process.kill()
                break
    assert process.returncode in (-signal.SIGKILL, 0)


def expect_same_end(tmp_path: Path, kills: int, seed: int) -> None:
    """Kill one run over and over, at points that `seed` chooses, before it may end."""
    undisturbed = end_of(tmp_path / "undisturbed")
    choice = random.Random(seed)
    flags: tuple[str, ...] = ()
    for _ in range(kills):
        kill_after(choice.randrange(2, 2 * STEPS // kills), tmp_path / "killed", *flags)
        flags = ("--resume",)
    end = end_of(tmp_path / "killed", "--resume")
    assert end | {"run": None} == undisturbed | {"run": None}
    assert not [path for path in tmp_path.rglob("*") if ".tmp-" in path.name]


def test_a_run_killed_many_times_ends_like_an_undisturbed_one(tmp_path: Path) -> None:
    expect_same_end(tmp_path, kills=6, seed=0)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_runs_killed_many_times_end_like_an_undisturbed_one(tmp_path: Path, seed: int) -> None:
    expect_same_end(tmp_path, kills=10, seed=seed)


@pytest.mark.parametrize(
    ("number", "status", "reason"),
    [(signal.SIGINT, 130, "interrupt"), (signal.SIGTERM, 75, "terminate")],
)
def test_a_signal_finishes_the_step_saves_and_sets_the_exit_status(
    tmp_path: Path, number: int, status: int, reason: str
) -> None:
    seen = []
    with training(tmp_path / "run", steps=FOR_EVER) as process:
        for event in events(process):
            seen.append(event)
            if event["event"] == "step" and event["step"] == 3:
                process.send_signal(number)
    assert process.returncode == status
    end = seen[-1]
    assert (end["event"], end["stopped"]) == ("end", reason)
    assert (tmp_path / "run" / "checkpoints" / f"step-{end['step']:08d}").is_dir()
