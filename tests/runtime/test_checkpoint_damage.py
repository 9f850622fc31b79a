"""Damaged and hostile files: each is detected, none ends in anything but a coded error."""

from __future__ import annotations

import json
import os
import random
import struct
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowc_runtime.checkpoint import (
    CheckpointError,
    Checkpoints,
    Position,
    Progress,
    load_weights,
)
from flowc_runtime.plan import Variable
from flowc_runtime.types import parse_type

VARIABLES = (
    Variable("w", "param", parse_type("f32[4]"), 0),
    Variable("w.m", "slot", parse_type("f32[4]"), 0),
)
FILES = ("model.safetensors", "optimizer.safetensors", "MANIFEST.json")


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    """A run with sound checkpoints of steps 1 and 2."""
    made = Checkpoints(tmp_path / "checkpoints")
    for step in (1, 2):
        values = {v.path: np.arange(4, dtype=np.float32) for v in VARIABLES}
        made.save("m", VARIABLES, values, Progress(Position(step, 0, step), 0, 0.5, {"a": 0.25}))
    return made


def newest(checkpoints: Checkpoints) -> Path:
    return checkpoints.directory / "step-00000002"


def expect_fallback(checkpoints: Checkpoints) -> None:
    found = checkpoints.load(VARIABLES)
    assert found.path.name == "step-00000001"
    assert [skipped.path for skipped in found.skipped] == [newest(checkpoints)]


def header(content: Any, data: bytes = b"") -> bytes:
    text = json.dumps(content).encode() if not isinstance(content, bytes) else content
    return struct.pack("<Q", len(text)) + text + data


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **changes}


HOSTILE = {
    "empty": b"",
    "shorter than its length": b"\x01\x02",
    "header of 2^62 bytes": struct.pack("<Q", 1 << 62) + b"{}",
    "header past the end": struct.pack("<Q", 100) + b"{}",
    "no JSON": header(b"{{{{"),
    "not UTF-8": header(b'{"\xff":1}'),
    "a list": header([]),
    "deeply nested": header(b"[" * 100_000),
    "shape overflows": header({"w": entry(shape=[2**40, 2**40])}, bytes(4)),
    "negative shape": header({"w": entry(shape=[-1])}, bytes(4)),
    "offsets past the end": header({"w": entry(shape=[1000], data_offsets=[0, 4000])}, bytes(4)),
    "offsets reversed": header({"w": entry(data_offsets=[4, 0])}, bytes(4)),
    "offsets that overlap": header({"w": entry(), "v": entry()}, bytes(4)),
    "a hole": header({"w": entry(data_offsets=[4, 8])}, bytes(8)),
    "bytes left over": header({"w": entry()}, bytes(8)),
    "shape and size differ": header({"w": entry(shape=[2])}, bytes(4)),
    "unknown dtype": header({"w": entry(dtype="F99")}, bytes(4)),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_safetensors_file_is_refused_by_name(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors") as caught:
        load_weights(path)
    assert caught.value.code == "checkpoint-damaged"


def test_a_dtype_that_flowc_lacks_is_named(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(header({"w": entry(dtype="C64", data_offsets=[0, 8])}, bytes(8)))
    with pytest.raises(CheckpointError, match="tensor `w` is C64") as caught:
        load_weights(path)
    assert caught.value.code == "weights-dtype"


def test_a_bool_byte_that_is_neither_0_nor_1_counts_as_true(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(header({"w": entry(dtype="BOOL", shape=[3], data_offsets=[0, 3])}, b"\0\1\2"))
    assert load_weights(path)["w"].tobytes() == b"\0\1\1"


@pytest.mark.parametrize("name", FILES)
def test_every_bit_flip_is_detected(checkpoints: Checkpoints, name: str) -> None:
    path = newest(checkpoints) / name
    sound = path.read_bytes()
    choice = random.Random(0)
    for _ in range(400):
        damaged = bytearray(sound)
        damaged[choice.randrange(len(sound))] ^= 1 << choice.randrange(8)
        path.write_bytes(damaged)
        expect_fallback(checkpoints)


@pytest.mark.soak
@pytest.mark.parametrize("name", FILES)
def test_every_single_bit_is_guarded(checkpoints: Checkpoints, name: str) -> None:
    path = newest(checkpoints) / name
    sound = path.read_bytes()
    for bit in range(8 * len(sound)):
        damaged = bytearray(sound)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        expect_fallback(checkpoints)


@pytest.mark.parametrize("name", FILES)
def test_every_truncation_is_detected(checkpoints: Checkpoints, name: str) -> None:
    path = newest(checkpoints) / name
    sound = path.read_bytes()
    for length in range(len(sound)):
        path.write_bytes(sound[:length])
        expect_fallback(checkpoints)


@pytest.mark.parametrize("name", FILES)
def test_bytes_added_at_the_end_are_detected(checkpoints: Checkpoints, name: str) -> None:
    with (newest(checkpoints) / name).open("ab") as file:
        file.write(b"\n")
    expect_fallback(checkpoints)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_regular_one_is_not_read(checkpoints: Checkpoints, name: str) -> None:
    path = newest(checkpoints) / name
    path.unlink()
    os.mkfifo(path)
    expect_fallback(checkpoints)


@pytest.mark.parametrize("name", FILES)
def test_a_link_to_a_file_is_not_followed(checkpoints: Checkpoints, name: str) -> None:
    path = newest(checkpoints) / name
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")
    expect_fallback(checkpoints)


def rewrite_manifest(checkpoints: Checkpoints, **changes: Any) -> None:
    """A manifest whose own hash is right: made on purpose, not by an accident."""
    path = newest(checkpoints) / "MANIFEST.json"
    body = json.loads(path.read_text()) | changes
    del body["sha256"]
    body["sha256"] = sha256(
        (json.dumps(body, indent=1, sort_keys=True) + "\n").encode()
    ).hexdigest()
    path.write_text(json.dumps(body, indent=1, sort_keys=True) + "\n")


@pytest.mark.parametrize(
    "changes",
    [
        {"files": {"../../secret": {"size": 1, "sha256": ""}}},
        {"files": {}},
        {"files": []},
        {"files": {"model.safetensors": 5, "optimizer.safetensors": {}}},
        {"variables": {"w": "param f32[4]"}},
        {"variables": {"w": "param"}},
        {"variables": {"w": "param f32[x]", "w.m": 3}},
        {"variables": {"w": "param f32[" + "9" * 5000 + "]"}},
        {"step": -1},
        {"step": "2"},
        {"step": 2.0},
        {"epoch": None},
        {"metrics": 3},
        {"loss": "low"},
        {"seed": [1]},
        {"build": []},
    ],
)
def test_a_manifest_made_to_mislead_is_passed_over(
    checkpoints: Checkpoints, changes: dict[str, Any]
) -> None:
    rewrite_manifest(checkpoints, **changes)
    expect_fallback(checkpoints)


def test_a_checkpoint_of_a_later_format_is_named_as_that(checkpoints: Checkpoints) -> None:
    rewrite_manifest(checkpoints, format=2)
    with pytest.raises(CheckpointError, match="format 2, this flowc reads 1") as caught:
        checkpoints.load(VARIABLES)
    assert caught.value.code == "checkpoint-version"


def test_a_deeply_nested_manifest_is_passed_over(checkpoints: Checkpoints) -> None:
    (newest(checkpoints) / "MANIFEST.json").write_text("[" * 100_000)
    expect_fallback(checkpoints)
