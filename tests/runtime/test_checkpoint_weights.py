"""Weights on their own: in, out, and their sha256."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from flowc_runtime.checkpoint import (
    CheckpointError,
    Checkpoints,
    Disk,
    Position,
    Progress,
    load_weights,
    put_weights,
    save_weights,
    weights_sha256,
)
from flowc_runtime.plan import Variable
from flowc_runtime.types import parse_type

VARIABLES = (
    Variable("b", "param", parse_type("f64[2]"), 0),
    Variable("a", "param", parse_type("f32[2, 2]"), 0),
    Variable("seen", "state", parse_type("i64[]"), 0),
    Variable("a.m", "slot", parse_type("f32[2, 2]"), 0),
)


def values() -> dict[str, np.ndarray]:
    return {
        "b": np.array([0.5, 1.5]),
        "a": np.arange(4, dtype=np.float32).reshape(2, 2),
        "seen": np.array(3, np.int64),
        "a.m": np.ones((2, 2), np.float32),
    }


def test_the_sha256_is_over_the_parameters_in_path_order() -> None:
    expected = sha256(
        b"a\0f32[2, 2]\0" + np.arange(4, dtype="<f4").tobytes()
        + b"b\0f64[2]\0" + np.array([0.5, 1.5], "<f8").tobytes()
    )  # fmt: skip
    assert weights_sha256(VARIABLES, values()) == expected.hexdigest()


@pytest.mark.parametrize("path", ["a.m", "seen"])
def test_states_and_slots_do_not_change_the_sha256(path: str) -> None:
    changed = values()
    changed[path] += 1
    assert weights_sha256(VARIABLES, changed) == weights_sha256(VARIABLES, values())


def test_saved_weights_are_the_parameters_and_states(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", VARIABLES, values())
    loaded = load_weights(tmp_path / "w.safetensors")
    assert {p: v.tobytes() for p, v in loaded.items()} == {
        p: v.tobytes() for p, v in values().items() if p != "a.m"
    }


@pytest.mark.parametrize("inside", ["", "checkpoints", "checkpoints/step-00000002"])
def test_weights_are_found_in_a_run_its_checkpoints_or_one_of_them(
    tmp_path: Path, inside: str
) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (1, 2):
        checkpoints.save("m", VARIABLES, values(), Progress(Position(step, 0, step), 0))
    assert sorted(load_weights(tmp_path / inside)) == ["a", "b", "seen"]


def test_one_checkpoint_that_is_damaged_is_refused_and_no_other_taken(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    for step in (1, 2):
        checkpoints.save("m", VARIABLES, values(), Progress(Position(step, 0, step), 0))
    damaged = checkpoints.directory / "step-00000002"
    (damaged / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="step-00000002 is damaged") as caught:
        load_weights(damaged)
    assert caught.value.code == "checkpoint-damaged"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no file .*nothing\.safetensors") as caught:
        load_weights(tmp_path / "nothing.safetensors")
    assert caught.value.code == "checkpoint-none"


def test_weights_of_other_tools_are_read(tmp_path: Path) -> None:
    save_file({"a": values()["a"]}, tmp_path / "w.safetensors", metadata={"format": "pt"})
    np.testing.assert_array_equal(load_weights(tmp_path / "w.safetensors")["a"], values()["a"])


def test_weights_that_match_are_put_and_the_others_told() -> None:
    live = {path: np.zeros_like(value) for path, value in values().items()}
    given = {"a": values()["a"], "b": np.zeros(3), "extra": np.zeros(1)}
    unlike = put_weights(given, VARIABLES, live)
    np.testing.assert_array_equal(live["a"], values()["a"])
    assert (unlike.missing, unlike.extra) == (("seen",), ("extra",))
    assert unlike.unlike == {"b": ("f64[3]", "f64[2]")}


def test_weights_that_all_match_differ_in_nothing() -> None:
    live = {path: np.zeros_like(value) for path, value in values().items()}
    given = {path: value for path, value in values().items() if path != "a.m"}
    assert not put_weights(given, VARIABLES, live)


def test_a_full_disk_leaves_the_weights_that_were_there(tmp_path: Path) -> None:
    class FullDisk(Disk):
        def write(self, file: int, data: memoryview) -> int:
            raise OSError(errno.ENOSPC, "")

    path = tmp_path / "w.safetensors"
    save_weights(path, VARIABLES, values())
    before = path.read_bytes()
    with pytest.raises(CheckpointError) as caught:
        save_weights(path, VARIABLES, values(), FullDisk())
    assert caught.value.code == "disk-full"
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["w.safetensors"]
