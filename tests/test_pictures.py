"""Photographs from the folder to the answer: trained on with augmentation, resumed, predicted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cluster_runs
import numpy as np
import pytest
from command_line import run
from PIL import Image

MODEL = """\
model colours {
  input image: u8[batch, 12, 12, 3]
  input label: i32[batch]
  pixels = cast(image, f32) / 255
  logits = pixels |> conv2d(8, stride = 2) |> relu |> global_avg_pool |> dense(3)
  loss = mean(cross_entropy(logits, label))
  metric accuracy = mean(argmax(logits) == label)
  output probabilities = softmax(logits)
}

data train = images("photos/train")
  |> random_resized_crop(12, scale = [0.5, 1])
  |> random_flip
  |> color_jitter(brightness = 0.2, hue = 0.02) -> (image, label)
data test = images("photos/val") |> resize(14) |> center_crop(12) -> (image, label)

train {
  data = train |> shuffle
  validate = test
  batch = 6
  shards = 2
  steps = 60
  optimizer = adam(lr = 3e-2)
  seed = 4
}
"""
COLOURS = {"blue": (20, 30, 220), "green": (10, 200, 40), "red": (230, 20, 30)}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photographs in three classes, the model, and a run of it."""
    folder = tmp_path_factory.mktemp("project")
    chance = np.random.default_rng(1)
    for part, count in (("train", 5), ("val", 2)):
        for name, colour in COLOURS.items():
            (folder / "photos" / part / name).mkdir(parents=True)
            for number in range(count):
                noise = chance.integers(-20, 21, (16 + number, 22 - number, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                suffix = ("jpg", "png")[number % 2]
                Image.fromarray(pixels).save(folder / "photos" / part / name / f"{number}.{suffix}")
    (folder / "colours.flow").write_text(MODEL)
    result = run("train", folder / "colours.flow", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder


def weights_of(run: Path) -> object:
    """The hash of a run's last weights."""
    manifest = json.loads((run / "checkpoints" / "step-00000060" / "MANIFEST.json").read_text())
    return manifest["files"]["model.safetensors"]


def asked(project: Path, *args: str | Path, weights: str = "run") -> str:
    result = run("predict", project / "colours.flow", *args, "--weights", project / weights)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_photographs_get_classes_by_name_with_probabilities(project: Path) -> None:
    photos = [project / "photos" / "val" / name / "0.jpg" for name in COLOURS]
    lines = asked(project, *photos).splitlines()
    assert [line for line in lines if not line.startswith("  ")] == list(map(str, photos))
    for name, photo in zip(COLOURS, photos, strict=True):
        at = lines.index(str(photo))
        best, *others = (line.split() for line in lines[at + 1 : at + 4])
        assert best[0] == name and float(best[1]) > 0.5
        assert sum(float(probability) for _, probability in (best, *others)) == pytest.approx(1)


def test_the_answer_as_json_has_the_best_and_the_outputs(project: Path) -> None:
    photo = project / "photos" / "val" / "red" / "1.png"
    answer = json.loads(asked(project, photo, "--json", "-k", "1"))
    (about,) = answer["classes"]
    assert about["example"] == str(photo) and len(about["best"]) == 1
    assert about["best"][0]["class"] == "red"
    (probabilities,) = answer["outputs"]["probabilities"]
    assert about["best"][0]["probabilities"] == max(probabilities) == probabilities[2]


def test_a_photograph_is_seen_as_validation_sees_it(project: Path) -> None:
    picture = Image.open(project / "photos" / "val" / "green" / "0.jpg")
    sides = [round(side * 14 / min(picture.size)) for side in picture.size]
    small = np.asarray(picture.resize(sides, Image.Resampling.BILINEAR))
    top, left = (small.shape[0] - 12) // 2, (small.shape[1] - 12) // 2
    np.save(project / "seen.npy", small[None, top : top + 12, left : left + 12])
    by_hand = json.loads(asked(project, project / "seen.npy", "--json"))["outputs"]
    photo = project / "photos" / "val" / "green" / "0.jpg"
    assert json.loads(asked(project, photo, "--json"))["outputs"] == by_hand


def test_names_are_those_of_the_run_also_without_the_data(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project / "run", tmp_path / "run")
    (tmp_path / "colours.flow").write_text(MODEL)
    photo = project / "photos" / "val" / "blue" / "0.jpg"
    for weights in ("run", "run/checkpoints/step-00000060/model.safetensors"):
        assert asked(tmp_path, photo, "-k", "1", weights=weights).split()[1] == "blue"
    shutil.copy(tmp_path / "run" / "checkpoints" / "step-00000060" / "model.safetensors", tmp_path)
    lone = asked(tmp_path, photo, "-k", "1", weights="model.safetensors")
    assert lone.split()[1] == "0"  # nothing tells what the classes were called


def test_rows_of_any_examples_can_be_ranked(project: Path) -> None:
    np.save(project / "two.npy", np.zeros((2, 12, 12, 3), np.uint8))
    lines = asked(project, project / "two.npy", "-k", "2").splitlines()
    assert [lines[0], lines[3]] == ["0", "1"] and len(lines) == 6


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [("torn.jpg", b"\xff\xd8\xff\xe0 no more", "data-damaged"), ("none.png", None, "data-missing")],
)
def test_a_photograph_that_is_none_is_named(
    project: Path, name: str, data: bytes | None, code: str
) -> None:
    if data is not None:
        (project / name).write_bytes(data)
    result = run("predict", project / "colours.flow", project / name, "--weights", project / "run")
    assert result.exit_code != 0
    assert code in result.output and name in result.output


def test_a_damaged_photograph_gets_no_answer_of_another(project: Path) -> None:
    """Also where training replaces damaged ones."""
    replacing = MODEL.replace('"photos/val")', '"photos/val", damaged = "replace")')
    (project / "replacing.flow").write_text(replacing)
    torn, sound = project / "torn.png", project / "photos" / "val" / "red" / "1.png"
    torn.write_bytes(sound.read_bytes()[:60])
    result = run("predict", project / "replacing.flow", torn, sound, "--weights", project / "run")
    assert result.exit_code == 1 and not result.stdout
    assert "data-damaged" in result.output and "torn.png" in result.output


def test_a_photograph_for_a_model_of_other_things_is_told(project: Path) -> None:
    (project / "other.flow").write_text(
        "model other {\n  input x: f32[batch, 4]\n  output y = dense(x, 2)\n}\n")
    photo = project / "photos" / "val" / "red" / "0.jpg"
    weights = project / "run"
    result = run("predict", project / "other.flow", photo, "--weights", weights)
    assert result.exit_code != 0


def test_a_run_resumed_in_the_middle_sees_the_same_pictures(project: Path) -> None:
    model, out = project / "colours.flow", project / "halves"
    assert run("train", model, "--out", out, "--steps", "27").exit_code == 0
    resumed = run("train", model, "--out", out, "--resume")
    assert resumed.exit_code == 0, resumed.output
    assert weights_of(out) == weights_of(project / "run")


def test_two_workers_decode_their_shards_of_the_same_pictures(project: Path) -> None:
    out = project / "workers"
    cluster_runs.finished(project / "colours.flow", "--local", "2", out=out)
    assert weights_of(out) == weights_of(project / "run")
