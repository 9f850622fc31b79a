"""Trained weights asked about data from files: what the numbers mean, and what cannot be read."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from command_line import run

from flowc import examples

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


# --- examples that cannot be read -----------------------------------------------------------------

SHAPED = """\
model m {
  input x: DTYPE[batch, 2]
  output y = dense(cast(x, f32), 1)
  loss = mean(y)
}
data d = csv("d.csv", columns = [[0, 1]], header = false) -> (x)
train {
  data = d
  batch = 1
  steps = 1
  optimizer = sgd(lr = 0.1)
}
"""


@pytest.fixture(scope="module", params=["u8", "i32"])
def shaped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of pairs of integers, with a run."""
    folder = tmp_path_factory.mktemp("shaped")
    (folder / "m.flow").write_text(SHAPED.replace("DTYPE", request.param))
    (folder / "d.csv").write_text("1,2\n")
    result = run("train", folder / "m.flow", "--out", folder / "run")
    assert result.exit_code == 0, result.output
    return folder


def predicted(folder: Path, examples: str | Path, input: str | bytes | None = None) -> Result:
    return run("predict", folder / "m.flow", examples, "--weights", folder / "run", input=input)


def test_an_index_outside_of_its_table_is_told_with_the_line(pets: Path) -> None:
    told = predicted(pets, "-", '{"pet": [7]}')
    assert told.exit_code == 1 and not told.stdout
    assert "bad-value" in told.output and "m.flow:5:" in told.output and "7" in told.output


def test_an_evaluation_that_meets_a_bad_value_is_told_with_the_line(
    pets: Path, tmp_path: Path
) -> None:
    shutil.copytree(pets, tmp_path / "pets")
    model = tmp_path / "pets" / "m.flow"
    plain = TABLE.replace(', words = ["pet"]) -> (pet, age)\ntrain', ") -> (pet, age)\ntrain")
    model.write_text(plain)
    (tmp_path / "pets" / "test.csv").write_text("pet,age\n7,1\n")
    told = run("eval", model, "--weights", tmp_path / "pets" / "run")
    assert told.exit_code == 1 and "bad-value" in told.output and "m.flow:5:" in told.output


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ('{"x": [[1.7, 2]]}', "data-value", "`x`[0, 0] is 1.7"),
        ('{"x": [[1, 2], [3, 9999999999]]}', "data-value", "`x`[1, 1] is 9999999999"),
        ('{"x": [[1, 1e400]]}', "data-value", "`x`[0, 1] is inf"),
        ('{"x": [[1, null]]}', "data-value", "no array of numbers"),
        ('{"x": [[1, "2"]]}', "data-value", "no array of numbers"),
        ('{"x": [[1, 2], [3]]}', "data-value", "no array of numbers"),
        (f'{{"x": [[1, {10**30}]]}}', "data-value", "no array of numbers"),
        (b"\xff\xfe\xfa", "data-damaged", "no JSON"),
    ],
)
def test_json_that_the_input_cannot_hold_is_told(
    shaped: Path, text: str | bytes, code: str, place: str
) -> None:
    told = predicted(shaped, "-", text)
    assert told.exit_code == 1 and not told.stdout
    assert code in told.output and place in told.output and "stdin" in told.output


def test_whole_numbers_may_be_written_with_a_point(shaped: Path) -> None:
    whole = predicted(shaped, "-", '{"x": [[1, 2]], "other": "ignored"}')
    assert whole.exit_code == 0, whole.output
    assert predicted(shaped, "-", "[[1.0, 2]]").stdout == whole.stdout


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("a,b\n1,2\n\n3,99999999999\n", "data-value", ":4: column 1 is 99999999999"),
        ("1,2\n1.5,2\n", "data-value", ":2: column 0 is 1.5"),
        ("1,2\nnan,2\n", "data-value", ":2: column 0 is nan"),
        ("1,b\n1,2\n", "data-value", ":1: not all cells are numbers"),
        ("a,b\nc,d\n1,2\n", "data-value", ":2: not all cells are numbers"),
        ("1,2\n1," + "2" * 140_000 + "\n", "data-damaged", ":2: cannot be read"),
        ("1,2\n1,\udcff\n", "data-damaged", ": cannot be read: 'utf-8'"),
        ("1,2\n1\n", "data-width", ":2: 1 cells"),
        ("1,2,3\n", "data-shape", "3 numbers"),
        ("a,b\n", "data-empty", "no row"),
    ],
)
def test_a_table_that_the_input_cannot_hold_is_told_by_line(
    shaped: Path, text: str, code: str, place: str
) -> None:
    path = shaped / "rows.csv"
    path.write_text(text, errors="surrogateescape")
    told = predicted(shaped, path)
    assert told.exit_code == 1 and not told.stdout
    assert code in told.output and "rows.csv" in told.output and place in told.output


def test_a_table_may_begin_with_a_mark_of_its_encoding(shaped: Path) -> None:
    (shaped / "marked.csv").write_text("1,2\n3,4\n", encoding="utf-8-sig")
    assert len(predicted(shaped, shaped / "marked.csv").stdout.splitlines()) == 3


def test_archives_that_are_none_or_a_bomb_are_told(shaped: Path) -> None:
    (shaped / "torn.npz").write_bytes(b"PK\3\4 and no more")
    with zipfile.ZipFile(shaped / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive, \
            archive.open("x.npy", "w", force_zip64=True) as member:
        member.write(bytes(80 << 20))
    np.savez(shaped / "other.npz", y=np.zeros((1, 2), np.uint8))
    (shaped / "torn.npy").write_bytes(b"\x93NUMPY")
    codes = {"torn.npz": (1, "data-damaged"), "bomb.npz": (1, "data-limit"),
             "other.npz": (66, "data-missing"), "torn.npy": (1, "data-damaged")}
    for name, (exit_code, code) in codes.items():
        told = predicted(shaped, shaped / name)
        assert told.exit_code == exit_code and not told.stdout
        assert code in told.output and name in told.output


def test_arrays_are_read_by_name_and_their_range_is_checked(shaped: Path) -> None:
    np.savez_compressed(shaped / "good.npz", x=np.array([[1, 2]]), other=np.zeros(7))
    np.save(shaped / "good.npy", np.array([[1, 2]]))
    answers = {predicted(shaped, shaped / f"good.{kind}").stdout for kind in ("npz", "npy")}
    assert len(answers) == 1 and len(answers.pop().splitlines()) == 2
    np.save(shaped / "large.npy", np.array([[1, 2**40]]))
    told = predicted(shaped, shaped / "large.npy")
    assert told.exit_code == 1 and "data-value" in told.output and "large.npy" in told.output


def test_stdin_is_bounded(shaped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "MAX_BYTES", 100)
    told = predicted(shaped, "-", "[[1, 2]]" + " " * 100)
    assert told.exit_code == 1 and "data-limit" in told.output
