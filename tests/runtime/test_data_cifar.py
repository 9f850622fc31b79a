"""CIFAR-10's records: planes become pictures, and what is no record is told."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.sources import open_source

CHANCE = np.random.default_rng(10)
PIXELS = CHANCE.integers(0, 256, (5, 32, 32, 3), np.uint8)
LABELS = np.array([0, 9, 3, 3, 7], np.uint8)


def records(pixels: np.ndarray, labels: np.ndarray) -> bytes:
    planes = pixels.transpose(0, 3, 1, 2).reshape(len(pixels), -1)
    return np.concatenate([labels[:, None], planes], axis=1).tobytes()


def opened(folder: Path, *paths: str) -> Dataset:
    return open_source("cifar10", {"paths": paths}, folder, (), {})


def test_files_follow_each_other_gzip_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(records(PIXELS[:2], LABELS[:2]))
    (tmp_path / "b.bin.gz").write_bytes(gzip.compress(records(PIXELS[2:], LABELS[2:])))
    dataset = opened(tmp_path, "a.bin", "b.bin.gz")
    image, label = np.zeros((5, 32, 32, 3), np.uint8), np.zeros(5, np.int32)
    dataset.read(np.arange(5), [image, label])
    assert (image == PIXELS).all() and (label == LABELS).all()
    assert dataset.fields[1].classes[9] == "truck"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "number of records"),
        (records(PIXELS, LABELS)[:-1], "number of records"),
        (records(PIXELS, LABELS + np.uint8(5)), "record 1 is of class 14"),
    ],
)
def test_what_is_no_record_is_damage(tmp_path: Path, data: bytes, match: str) -> None:
    (tmp_path / "a.bin").write_bytes(data)
    with pytest.raises(DataError, match=match) as caught:
        opened(tmp_path, "a.bin")
    assert caught.value.code == "data-damaged" and caught.value.path == "a.bin"
