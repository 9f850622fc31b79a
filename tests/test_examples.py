"""Trained weights asked about data from files: what the numbers mean, and what cannot be read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import run

TABLE = """\
model pets {
  input pet: i32[batch]
  input age: f32[batch]
  layer embed = embedding(rows = 4, width = 2)
  estimate = embed(pet) |> dense(1) |> squeeze(-1)
  loss = mean((estimate - age) ^ 2)
  output estimate
}
data train = csv("train.csv", columns = ["pet", "age"], words = ["pet"]) -> (pet, age)
data test = csv("test.csv", columns = ["pet", "age"], words = ["pet"]) -> (pet, age)
train {
  data = train
  validate = test
  batch = 3
  steps = 60
  optimizer = adam(lr = 0.1)
  seed = 1
}
"""


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of words, a run of it, and its weights alone; the test data lack a word."""
    folder = tmp_path_factory.mktemp("pets")
    (folder / "m.flow").write_text(TABLE)
    (folder / "train.csv").write_text("pet,age\nant,1\nbee,2\ncat,9\n")
    (folder / "test.csv").write_text("pet,age\nbee,2\ncat,9\n")
    result = run("train", folder / "m.flow", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    last = folder / "run" / "checkpoints" / "step-00000060" / "model.safetensors"
    shutil.copy(last, folder / "w.safetensors")
    return folder


def measured(model: Path, weights: Path) -> float:
    result = run("eval", model, "--weights", weights, "--json")
    assert result.exit_code == 0, result.output
    return float(json.loads(result.stdout)["loss"])


def test_weights_without_a_run_are_measured_by_the_words_of_the_training_data(pets: Path) -> None:
    model = pets / "m.flow"
    assert measured(model, pets / "w.safetensors") == measured(model, pets / "run")


def test_weights_whose_words_nobody_knows_are_not_measured(pets: Path, tmp_path: Path) -> None:
    for name in ("m.flow", "test.csv", "w.safetensors"):
        shutil.copy(pets / name, tmp_path)
    result = run("eval", tmp_path / "m.flow", "--weights", tmp_path / "w.safetensors")
    assert result.exit_code == 66 and not result.stdout
    assert "data-missing" in result.output and "train.csv" in result.output
    assert measured(tmp_path / "m.flow", pets / "run") == measured(pets / "m.flow", pets / "run")
