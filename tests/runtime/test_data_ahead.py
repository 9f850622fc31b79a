"""Decoding by threads, ahead of the step: the same bits, the right errors, bounded memory."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowc_runtime.data import ahead
from flowc_runtime.data.dataset import Dataset, Field, OneByOne, Visit
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.spec import DataSpec
from flowc_runtime.data.stream import Stream

AUGMENTED = (
    ("random_resized_crop", {"size": [8, 8]}), ("random_flip", {}),
    ("color_jitter", {"brightness": 0.3, "hue": 0.1}), ("shuffle", {"seed": None}),
)  # fmt: skip


class Counted(OneByOne):
    """Examples that say which one is read, when; and how often each was."""

    origin, shuffled = "counted", True
    fields = (Field("x", "i64", (2,)),)

    def __init__(self, size: int, broken: Sequence[int] = ()):
        self.size = size
        self.broken = broken
        self.read_at: list[tuple[int, int]] = []
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return self.size

    def example(self, index: int, visit: Visit) -> Sequence[np.ndarray]:
        with self.lock:
            self.read_at.append((visit.epoch, index))
        if index in self.broken:
            raise DataError("data-damaged", "broken", self.place(index))
        return [np.array([index, visit.epoch])]

    def place(self, index: int) -> str:
        return f"file-{index}"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    chance = np.random.default_rng(5)
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for number in range(9):
            pixels = chance.integers(0, 256, (12 + number, 20 - number, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / name / f"{number}.png")
    return tmp_path


def opened(folder: Path, damaged: str = "error") -> Dataset:
    arguments = {"folder": "pets", "size": None, "damaged": damaged}
    return DataSpec("images", arguments, AUGMENTED, ("image", "label"), {}).open(folder, ())


def batches(stream: Stream, count: int) -> list[bytes]:
    image = np.zeros((stream.batch, 8, 8, 3), np.uint8)
    label = np.zeros(stream.batch, np.int32)
    seen = []
    for step in range(count):
        at = stream.position(step)
        stream.read(at.epoch, at.index, [image, label])
        seen.append(image.tobytes() + label.tobytes())
    return seen


def test_bits_do_not_depend_on_threads_or_on_reading_ahead(photos: Path) -> None:
    one, many = (Stream(opened(photos), 4, 3, True, "drop", threads) for threads in (1, 7))
    in_order = batches(one, 12)
    assert batches(many, 12) == in_order and len(set(in_order)) == 12
    image, label = np.zeros((4, 8, 8, 3), np.uint8), np.zeros(4, np.int32)
    resumed = Stream(opened(photos), 4, 3, True)
    at = resumed.position(9)
    resumed.read(at.epoch, at.index, [image, label])
    assert image.tobytes() + label.tobytes() == in_order[9]


def test_shards_of_a_batch_are_parts_of_it(photos: Path) -> None:
    whole, parts = (Stream(opened(photos), 6, 3, True) for _ in range(2))
    for step in range(5):
        at = whole.position(step)
        both = [np.zeros((6, 8, 8, 3), np.uint8), np.zeros(6, np.int32)]
        cut = [np.zeros_like(array) for array in both]
        whole.read(at.epoch, at.index, both)
        for start in (0, 3):
            parts.read_part(
                at.epoch, at.index, start, start + 3, [a[start : start + 3] for a in cut])
        assert all(map(np.array_equal, both, cut))


def test_the_next_batch_is_read_before_it_is_wanted_and_once() -> None:
    data = Counted(10)
    stream = Stream(data, 5, 1, True)
    out = [np.zeros((5, 2), np.int64)]
    for step in range(6):
        at = stream.position(step)
        stream.read(at.epoch, at.index, out)
        assert out[0][:, 0].tolist() == stream.indices(at.epoch, at.index).tolist()
        assert set(out[0][:, 1].tolist()) == {at.epoch}
    assert stream._ahead is not None  # what waits is the seventh batch
    assert len(set(data.read_at)) == len(data.read_at)


def test_nothing_is_read_after_the_last_batch_of_a_validation() -> None:
    data = Counted(10)
    stream = Stream(data, 4, 1, False, "keep", threads=1)
    for index in range(3):
        stream.read(0, index, [np.zeros((stream.size(index), 2), np.int64)])
    assert sorted(data.read_at) == [(0, index) for index in range(10)]


def test_an_error_comes_with_its_batch_and_names_the_file() -> None:
    stream = Stream(Counted(12, broken=[6]), 4, 1, False)
    out = [np.zeros((4, 2), np.int64)]
    stream.read(0, 0, out)
    with pytest.raises(DataError, match="file-6: broken"):
        stream.read(0, 1, out)
    stream.read(0, 2, out)
    assert out[0][:, 0].tolist() == [8, 9, 10, 11]


def test_what_nobody_comes_for_does_not_pile_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "MOST_BYTES", 3 * 4 * 16)  # three batches
    data = Counted(4000)
    stream = Stream(data, 4, 1, False)
    out = [np.zeros((4, 2), np.int64)]
    for index in range(0, 900, 9):
        stream.read(0, index, out)
        assert out[0][0, 0] == 4 * index
        assert stream._ahead is not None and stream._ahead._waiting <= 12


def test_a_damaged_photo_is_named_or_replaced(photos: Path) -> None:
    whole = (photos / "pets" / "dog" / "3.png").read_bytes()
    (photos / "pets" / "dog" / "3.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"pets/dog/3\.png") as caught:
        batches(Stream(opened(photos), 6, 3, True), 3)
    assert caught.value.code == "data-damaged"
    replaced = opened(photos, damaged="replace")
    sound, stand_in = (replaced.example(i, Visit(0, 0)) for i in (13, 12))
    assert sound[1] == stand_in[1] == 1
    assert len(batches(Stream(replaced, 6, 3, True), 3)) == 3


def test_a_folder_of_damage_alone_ends(photos: Path) -> None:
    for path in (photos / "pets").rglob("*.png"):
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(DataError, match="pets/"):
        opened(photos, damaged="replace")


def test_photos_of_different_sizes_need_a_size(photos: Path) -> None:
    with pytest.raises(DataError, match="different sizes") as caught:
        DataSpec("images", {"folder": "pets"}, (), ("image", "label"), {}).open(photos, ())
    assert caught.value.help is not None and "resize" in caught.value.help
    crop = (("center_crop", {"size": 15}),)
    small = DataSpec("images", {"folder": "pets"}, crop, ("image", "label"), {}).open(photos, ())
    with pytest.raises(DataError, match=r"cat/1\.png: 13 x 19 pixels hold no part of 15 x 15"):
        small.example(1, Visit(0, 0))
