"""Checkpoints: what is saved comes back, and what is wrong is refused by name."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from flowc_runtime.checkpoint import (
    CheckpointError,
    Checkpoints,
    Disk,
    Position,
    Progress,
)
from flowc_runtime.plan import Variable
from flowc_runtime.types import DTYPES, TensorType, parse_type

VARIABLES = (
    Variable("dense.w", "param", parse_type("f32[3, 4]"), 0),
    Variable("dense.b", "param", parse_type("f64[4]"), 0),
    Variable("norm.seen", "state", parse_type("bf16[2]"), 0),
    Variable("dense.w.m", "slot", parse_type("f32[3, 4]"), 0),
)


def values(seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    return {v.path: random.integers(0, 100, v.type.sizes).astype(v.type.storage) for v in VARIABLES}


def at(step: int) -> Progress:
    return Progress(Position(step, step // 10, step % 10), seed=7, loss=0.1, metrics={"a": 0.5})


def save(checkpoints: Checkpoints, step: int, seed: int | None = None) -> Path:
    return checkpoints.save("m", VARIABLES, values(step if seed is None else seed), at(step))


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def test_every_variable_comes_back_bit_for_bit(checkpoints: Checkpoints) -> None:
    save(checkpoints, 5)
    live = {path: np.zeros_like(value) for path, value in values().items()}
    checkpoints.load(VARIABLES).restore(live)
    assert {p: v.tobytes() for p, v in live.items()} == {
        p: v.tobytes() for p, v in values(5).items()
    }


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_a_tensor_of_every_dtype_and_rank_comes_back(
    checkpoints: Checkpoints, dtype: str, shape: tuple[int, ...]
) -> None:
    variable = Variable("x", "param", TensorType(dtype, shape), 0)
    value = np.random.default_rng(0).integers(0, 2, shape).astype(variable.type.storage)
    checkpoints.save("m", [variable], {"x": value}, at(1))
    loaded = checkpoints.load([variable]).tensors["x"]
    assert (loaded.dtype, loaded.shape) == (value.dtype, value.shape)
    assert loaded.tobytes() == value.tobytes()


def test_progress_comes_back_with_its_exact_floats(checkpoints: Checkpoints) -> None:
    progress = Progress(Position(12, 1, 2), seed=2**62, loss=0.1 + 0.2, metrics={"a": 1 / 3})
    checkpoints.save("m", VARIABLES, values(), progress)
    assert checkpoints.load(VARIABLES).manifest.progress == progress


def test_a_metric_that_is_nan_comes_back_as_nan(checkpoints: Checkpoints) -> None:
    checkpoints.save("m", VARIABLES, values(), replace(at(1), metrics={"a": float("nan")}))
    assert np.isnan(checkpoints.load(VARIABLES).manifest.progress.metrics["a"])


def test_the_manifest_is_strict_json_with_size_and_sha256_of_each_file(
    checkpoints: Checkpoints,
) -> None:
    path = save(checkpoints, 5)
    manifest = json.loads((path / "MANIFEST.json").read_text(), parse_constant=pytest.fail)
    for name, record in manifest["files"].items():
        data = (path / name).read_bytes()
        assert record == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert set(os.listdir(path)) == {*manifest["files"], "MANIFEST.json"}
    assert (manifest["step"], manifest["epoch"], manifest["batch"]) == (5, 0, 5)
    assert manifest["build"]["numpy"] == np.__version__


def test_other_tools_read_the_model_file(checkpoints: Checkpoints) -> None:
    path = save(checkpoints, 5)
    loaded = load_file(path / "optimizer.safetensors")
    np.testing.assert_array_equal(loaded["dense.w.m"], values(5)["dense.w.m"])


def test_the_tensors_lie_aligned_in_the_file(checkpoints: Checkpoints) -> None:
    path = save(checkpoints, 5)
    data = (path / "model.safetensors").read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    assert (8 + length) % 8 == 0
    for entry in header.values():
        assert entry["data_offsets"][0] % DTYPES[entry["dtype"].lower()].bytes == 0


def test_the_three_newest_are_kept_and_latest_names_the_newest(checkpoints: Checkpoints) -> None:
    for step in range(1, 6):
        save(checkpoints, step)
    assert checkpoints.steps() == [3, 4, 5]
    assert (checkpoints.directory / "LATEST").read_text() == "step-00000005\n"


def test_latest_is_not_what_a_resume_trusts(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    save(checkpoints, 2)
    (checkpoints.directory / "LATEST").write_text("step-00000001\n")
    assert checkpoints.load(VARIABLES).path.name == "step-00000002"


def test_saving_a_step_again_replaces_it(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1, seed=1)
    save(checkpoints, 1, seed=2)
    loaded = checkpoints.load(VARIABLES).tensors["dense.w"]
    np.testing.assert_array_equal(loaded, values(2)["dense.w"])
    assert sorted(os.listdir(checkpoints.directory)) == ["LATEST", "step-00000001"]


def test_a_damaged_checkpoint_is_passed_over_and_said_so(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    newer = save(checkpoints, 2)
    data = bytearray((newer / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (newer / "model.safetensors").write_bytes(data)
    loaded = checkpoints.load(VARIABLES)
    assert loaded.path.name == "step-00000001"
    assert [str(s) for s in loaded.skipped] == [
        "checkpoint step-00000002 is damaged (model.safetensors: sha256 differs)"
    ]


def test_a_directory_without_a_manifest_is_passed_over(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    (save(checkpoints, 2) / "MANIFEST.json").unlink()
    loaded = checkpoints.load(VARIABLES)
    assert (loaded.path.name, loaded.skipped[0].reason) == ("step-00000001", "no MANIFEST.json")


def test_a_checkpoint_renamed_to_another_step_is_damaged(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    save(checkpoints, 2).rename(checkpoints.directory / "step-00000009")
    loaded = checkpoints.load(VARIABLES)
    assert loaded.skipped[0].reason == "MANIFEST.json is of step 2"


def test_nothing_saved_is_an_error_of_its_own(checkpoints: Checkpoints) -> None:
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(VARIABLES)
    assert caught.value.code == "checkpoint-none"


def test_only_damaged_ones_are_an_error_that_names_each(checkpoints: Checkpoints) -> None:
    for step in (1, 2):
        (save(checkpoints, step) / "MANIFEST.json").unlink()
    with pytest.raises(CheckpointError, match=r"step-00000002.*step-00000001") as caught:
        checkpoints.load(VARIABLES)
    assert caught.value.code == "checkpoint-damaged"


def test_a_checkpoint_of_another_model_is_refused_with_the_variables_that_differ(
    checkpoints: Checkpoints,
) -> None:
    save(checkpoints, 1)
    ours = [
        Variable("dense.w", "param", parse_type("f32[3, 5]"), 0),
        *VARIABLES[1:3],
        Variable("head.w", "param", parse_type("f32[2]"), 0),
    ]
    with pytest.raises(CheckpointError) as caught:
        checkpoints.load(ours)
    assert caught.value.code == "checkpoint-other-model"
    for part in (
        "dense.w: param f32[3, 4] in the file, param f32[3, 5] in the model",
        "head.w: only in the model",
        "dense.w.m: only in the file",
    ):
        assert part in caught.value.message


def test_a_long_list_of_differences_is_cut(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    with pytest.raises(CheckpointError, match=r"\(\+1 more\)"):
        checkpoints.load([])


def test_a_variable_of_another_kind_is_another_model(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    with pytest.raises(CheckpointError, match="param f64.4. in the file, state f64.4. in the"):
        checkpoints.load(
            [replace(v, kind="state") if v.path == "dense.b" else v for v in VARIABLES]
        )


def test_what_a_crashed_save_left_is_removed_at_the_next_start(checkpoints: Checkpoints) -> None:
    save(checkpoints, 1)
    stale = checkpoints.directory / "step-00000002.tmp-1"
    stale.mkdir()
    (stale / "model.safetensors").write_bytes(b"half")
    (checkpoints.directory / "LATEST.tmp-1").write_text("step")
    checkpoints.clean()
    assert sorted(os.listdir(checkpoints.directory)) == ["LATEST", "step-00000001"]


def test_cleaning_follows_no_link_out_of_the_directory(
    checkpoints: Checkpoints, tmp_path: Path
) -> None:
    save(checkpoints, 1)
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_text("")
    (checkpoints.directory / "step-00000002.tmp-1").symlink_to(tmp_path / "precious")
    checkpoints.clean()
    assert (tmp_path / "precious" / "file").exists()


def test_what_lies_after_the_resumed_step_is_set_aside_and_not_lost(
    checkpoints: Checkpoints,
) -> None:
    for step in (1, 2, 3):
        save(checkpoints, step)
    checkpoints.set_aside_after(1)
    assert checkpoints.steps() == [1]
    assert (checkpoints.directory / "set-aside-step-00000003" / "MANIFEST.json").exists()


def test_a_set_aside_step_never_overwrites_an_earlier_one(checkpoints: Checkpoints) -> None:
    for _ in range(2):
        save(checkpoints, 2)
        checkpoints.set_aside_after(1)
    assert len(list(checkpoints.directory.glob("set-aside-step-00000002*"))) == 2


class RefusingDisk(Disk):
    """Refuses to write as a disk does that is full, or not ours."""

    def __init__(self, number: int):
        self.number = number

    def write(self, file: int, data: memoryview) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [
        (errno.ENOSPC, "disk-full", "disk full while saving step-00000002"),
        (errno.EDQUOT, "disk-full", "disk quota used up while saving"),
        (errno.EIO, "disk-full", "input/output error while saving"),
        (errno.EACCES, "checkpoint-unwritable", "permission denied while saving"),
    ],
)
def test_a_disk_that_refuses_leaves_the_earlier_checkpoint_and_no_rest(
    checkpoints: Checkpoints, number: int, code: str, words: str
) -> None:
    save(checkpoints, 1)
    with pytest.raises(CheckpointError, match=words) as caught:
        save(replace(checkpoints, disk=RefusingDisk(number)), 2)
    assert caught.value.code == code
    assert sorted(os.listdir(checkpoints.directory)) == ["LATEST", "step-00000001"]
    assert checkpoints.load(VARIABLES).skipped == ()


def test_the_message_of_a_full_disk_tells_what_is_free_and_what_is_needed(
    checkpoints: Checkpoints,
) -> None:
    with pytest.raises(CheckpointError, match=r"[\d.]+ .?B free, 132 B needed"):
        save(replace(checkpoints, disk=RefusingDisk(errno.ENOSPC)), 1)


def test_the_last_checkpoint_cannot_be_told_to_go(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one"):
        Checkpoints(tmp_path, keep=0)
