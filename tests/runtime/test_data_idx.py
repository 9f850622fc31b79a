"""The IDX reader: what it gives, and what it refuses from the header alone."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from flowc_runtime.data.dataset import Dataset, Field
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.folder import Folder
from flowc_runtime.data.idx import read_idx

IMAGES = np.arange(4 * 3 * 2, dtype=np.uint8).reshape(4, 3, 2)
LABELS = np.array([3, 1, 4, 1], np.uint8)


def idx(array: np.ndarray, code: int = 0x08) -> bytes:
    header = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def opened(folder: Path, images: bytes, labels: bytes, **wanted: str) -> Dataset:
    (folder / "images").write_bytes(images)
    (folder / "labels").write_bytes(labels)
    return read_idx(Folder(folder), ("images", "labels"), ("image", "label"), wanted)


def refusal(folder: Path, images: bytes, labels: bytes = idx(LABELS), **wanted: str) -> DataError:
    with pytest.raises(DataError) as caught:
        opened(folder, images, labels, **wanted)
    return caught.value


def read(dataset: Dataset, *indices: int) -> list[np.ndarray]:
    dtypes = {"u8": np.uint8, "i32": np.int32, "f32": np.float32, "f64": np.float64}
    out = [np.zeros((len(indices), *f.shape), dtypes[f.dtype]) for f in dataset.fields]
    dataset.read(np.array(indices), out)
    return out


def test_examples_come_in_the_order_asked_for(tmp_path: Path) -> None:
    dataset = opened(tmp_path, idx(IMAGES), idx(LABELS))
    images, labels = read(dataset, 2, 0, 2)
    assert np.array_equal(images, IMAGES[[2, 0, 2]])
    assert np.array_equal(labels, [4, 3, 4])


def test_the_fields_are_described(tmp_path: Path) -> None:
    dataset = opened(tmp_path, idx(IMAGES), idx(LABELS), label="i32")
    assert dataset.fields == (Field("image", "u8", (3, 2)), Field("label", "i32", ()))
    assert (len(dataset), dataset.origin) == (4, "images, labels")


def test_gzip_is_found_by_content(tmp_path: Path) -> None:
    dataset = opened(tmp_path, gzip.compress(idx(IMAGES)), idx(LABELS))
    assert np.array_equal(read(dataset, 3)[0], IMAGES[[3]])


def test_values_are_cast_to_the_dtype_of_the_input(tmp_path: Path) -> None:
    images, labels = read(opened(tmp_path, idx(IMAGES), idx(LABELS), image="f32", label="i32"), 1)
    assert images.dtype == np.float32 and np.array_equal(images, IMAGES[[1]])
    assert labels.dtype == np.int32 and labels.tolist() == [1]


@pytest.mark.parametrize(
    ("code", "dtype", "name"),
    [(0x0B, np.int16, "i32"), (0x0C, np.int32, "i32"), (0x0D, np.float32, "f32"),
     (0x0E, np.float64, "f64")],
)  # fmt: skip
def test_every_dtype_of_the_format_is_read(
    tmp_path: Path, code: int, dtype: type, name: str
) -> None:
    values = np.array([[1.5, -2], [300, 4]]).astype(dtype)
    dataset = opened(tmp_path, idx(values, code), idx(LABELS[:2]))
    assert dataset.fields[0].dtype == name
    assert np.array_equal(read(dataset, 1, 0)[0], values[::-1])


def test_other_numbers_of_images_and_labels_are_refused(tmp_path: Path) -> None:
    refused = refusal(tmp_path, idx(IMAGES), idx(LABELS[:3]))
    assert (refused.code, refused.path) == ("data-shape", "labels")
    assert refused.message == "3 examples, but images has 4"


@pytest.mark.parametrize("cut", [0, 3, 4, 9, 16, 39])
@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_a_file_cut_short_is_refused(tmp_path: Path, cut: int, pack: type) -> None:
    assert refusal(tmp_path, pack(idx(IMAGES)[:cut])).code == "data-damaged"


@pytest.mark.parametrize("cut", [1, 5, 12, 30, 45])
def test_gzip_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    assert refusal(tmp_path, gzip.compress(idx(IMAGES))[:-cut]).code == "data-damaged"


def test_a_bad_checksum_is_refused(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(idx(IMAGES)))
    packed[-8] ^= 1
    assert "CRC" in refusal(tmp_path, bytes(packed)).message


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_bytes_after_the_last_example_are_refused(tmp_path: Path, pack: type) -> None:
    assert refusal(tmp_path, pack(idx(IMAGES) + b"x")).code == "data-damaged"


@pytest.mark.parametrize("start", [b"PK\3\4", b"\0\0\x07\1", b"\0\1\x08\1", b"\x93NUM"])
def test_another_format_is_refused_by_its_magic_number(tmp_path: Path, start: bytes) -> None:
    refused = refusal(tmp_path, start + bytes(64))
    assert refused.code == "data-damaged" and "no IDX file" in refused.message


def test_no_dimension_and_too_many_are_refused(tmp_path: Path) -> None:
    for rank in (0, 33, 255):
        header = bytes([0, 0, 8, rank]) + struct.pack(">I", 1) * rank
        assert refusal(tmp_path, header + b"x").code == "data-shape"


@pytest.mark.parametrize("shape", [(0,), (0, 28, 28), (5, 0), (0, 2**32 - 1, 2**32 - 1, 2**32 - 1)])
def test_a_set_that_holds_nothing_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    assert refusal(tmp_path, header).code == "data-empty"


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(2**32 - 1,), (60000, 28, 2**20), (2**32 - 1,) * 8])
def test_lying_dimensions_are_refused_before_memory_is_taken(
    tmp_path: Path, pack: type, shape: tuple[int, ...]
) -> None:
    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)
    tracemalloc.start()
    assert refusal(tmp_path, pack(header + bytes(100))).code == "data-damaged"
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_gzip_bomb_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    size = 100 << 20
    packed = gzip.compress(struct.pack(">HBBI", 0, 8, 1, size) + bytes(size), 1)
    tracemalloc.start()
    assert refusal(tmp_path, packed).code == "data-limit"
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(("wanted", "code"), [("i8", "data-value"), ("bool", "data-type"),
                                              ("bf16", "data-type")])  # fmt: skip
def test_a_dtype_that_cannot_hold_the_values_is_refused(
    tmp_path: Path, wanted: str, code: str
) -> None:
    assert refusal(tmp_path, idx(IMAGES + 200), image=wanted).code == code


def test_fractions_are_not_cut_off(tmp_path: Path) -> None:
    refused = refusal(tmp_path, idx(np.array([1.0, 2.5, 3, 4]), 0x0E), image="i32")
    assert (refused.code, refused.help) == (
        "data-type",
        "declare `image` as f32 and cast it in the model",
    )


def test_a_number_too_large_for_the_float_is_refused(tmp_path: Path) -> None:
    refused = refusal(tmp_path, idx(np.array([1.0, 1e300, 3, 4]), 0x0E), image="f32")
    assert refused.message == "example 1 holds 1e+300, outside the range of f32"


def test_an_example_out_of_range_is_a_bug_of_the_caller(tmp_path: Path) -> None:
    dataset = opened(tmp_path, idx(IMAGES), idx(LABELS))
    for index in (-1, 4):
        with pytest.raises(IndexError):
            read(dataset, index)
