"""`flowc train` killed at any moment and resumed ends with the weights of an undisturbed run."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

MODELS = Path(__file__).parent.parent / "models"

# Everything that a resume could get wrong: dropout, momentum, shuffling, a state, a schedule.
MODEL = """
model small {
  input image: u8[batch, 28, 28]
  input label: i32[batch]
  x = cast(image, f32) / 255 |> flatten |> dense(64) |> batch_norm |> relu |> dropout(0.3)
  loss = mean(cross_entropy(x |> dense(10), label))
}
data train = idx("train-images.gz", "train-labels.gz") |> take(2000) -> (image, label)
train {
  data = train |> shuffle
  batch = 32
  steps = 900
  optimizer = sgd(lr = cosine(peak = 0.1, steps = 900), momentum = 0.9)
  seed = 5
  checkpoint_every = 25
}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("train-images.gz", "train-labels.gz"):
        shutil.copy(MODELS / "data" / "fashion" / name, tmp_path / name)
    (tmp_path / "model.flow").write_text(MODEL)
    return tmp_path


def command(out: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "flowc.cli", "train", "--json", "--out", out, *more]


def finish(project: Path, out: str, *more: str) -> dict[str, object]:
    done = subprocess.run(command(out, *more), cwd=project, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    end = json.loads(done.stdout.splitlines()[-1])
    assert end["event"] == "end"
    return end


def kill_at_line(project: Path, out: str, line: int, *more: str) -> None:
    """Starts a training and kills it with -9 once it has told so many events after the first
    checkpoint: before it, there is nothing to resume."""
    safe = "--resume" in more
    with subprocess.Popen(
        command(out, *more), cwd=project, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        for text in process.stdout:
            safe = safe or json.loads(text)["event"] == "checkpoint"
            line -= safe
            if line < 0:
                process.kill()
                break


@pytest.mark.parametrize("rounds", [pytest.param(2), pytest.param(20, marks=pytest.mark.soak)])
def test_a_killed_and_resumed_training_ends_with_the_same_weights(
    project: Path, rounds: int
) -> None:
    whole = finish(project, "whole")
    rng = random.Random(1)
    for number in range(rounds):
        out = f"killed-{number}"
        kill_at_line(project, out, rng.randrange(1, 40))
        if rng.random() < 0.5:
            kill_at_line(project, out, rng.randrange(1, 10), "--resume")
        resumed = finish(project, out, "--resume")
        assert resumed["weights_sha256"] == whole["weights_sha256"]
        assert resumed["step"] == whole["step"]
