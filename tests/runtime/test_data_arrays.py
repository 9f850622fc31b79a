"""The `.npy` and `.npz` readers: mapped or unpacked, without pickle, within bounds."""

from __future__ import annotations

import io
import pickle
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowc_runtime.data.arrays import read_npy, read_npz
from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.folder import Folder

X = np.arange(12, dtype=np.float32).reshape(4, 3)
Y = np.array([0, 1, 1, 0], np.int64)


def npy(header: str, data: bytes = b"", version: int = 1) -> bytes:
    text = header.encode()
    length = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + length + text + data


def saved(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def read_all(dataset: Dataset, *dtypes: type) -> list[np.ndarray]:
    out = [
        np.zeros((len(dataset), *f.shape), dtype)
        for f, dtype in zip(dataset.fields, dtypes, strict=True)
    ]
    dataset.read(np.arange(len(dataset)), out)
    return out


def refusal(folder: Path, data: bytes, **wanted: str) -> DataError:
    (folder / "x.npy").write_bytes(data)
    with pytest.raises(DataError) as caught:
        read_npy(Folder(folder), ("x.npy",), ("x",), wanted)
    return caught.value


def test_arrays_are_read_from_one_file_a_field(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", X)
    np.save(tmp_path / "y.npy", Y)
    dataset = read_npy(Folder(tmp_path), ("x.npy", "y.npy"), ("x", "y"), {"y": "i32"})
    assert [(f.dtype, f.shape) for f in dataset.fields] == [("f32", (3,)), ("i32", ())]
    x, y = read_all(dataset, np.float32, np.int32)
    assert np.array_equal(x, X) and np.array_equal(y, Y)


def test_a_mapped_file_takes_no_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((1000, 4096), np.float32))
    tracemalloc.start()
    dataset = read_npy(Folder(tmp_path), ("x.npy",), ("x",), {})
    dataset.read(np.array([5, 900]), [np.empty((2, 4096), np.float32)])
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()


@pytest.mark.parametrize("layout", [np.asfortranarray, lambda x: x.astype(">f4")])
def test_any_memory_layout_is_read(tmp_path: Path, layout: Any) -> None:
    np.save(tmp_path / "x.npy", layout(X))
    dataset = read_npy(Folder(tmp_path), ("x.npy",), ("x",), {})
    assert np.array_equal(read_all(dataset, np.float32)[0], X)
    np.savez(tmp_path / "x.npz", x=layout(X))
    dataset = read_npz(Folder(tmp_path), "x.npz", ("x",), ("x",), {})
    assert np.array_equal(read_all(dataset, np.float32)[0], X)


def test_arrays_that_share_no_layout_with_numpy_are_read(tmp_path: Path) -> None:
    header = "{ 'shape':(2, ),\n'descr': '<i2','fortran_order' :False}"
    header = header.replace("' :", "':")
    (tmp_path / "x.npy").write_bytes(npy(header, struct.pack("<2h", 7, -7), version=2))
    dataset = read_npy(Folder(tmp_path), ("x.npy",), ("x",), {})
    assert dataset.fields[0].dtype == "i32"
    assert read_all(dataset, np.int32)[0].tolist() == [7, -7]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_of_an_archive_are_read(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "d.npz", inputs=X, y=Y)
    dataset = read_npz(Folder(tmp_path), "d.npz", ("inputs", "y"), ("x", "y"), {"x": "f64"})
    x, y = read_all(dataset, np.float64, np.int64)
    assert np.array_equal(x, X) and np.array_equal(y, Y)
    assert dataset.origin == "d.npz"


def test_a_pickle_is_refused_and_not_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (tmp_path / "loaded",))

    array = np.array([Bomb()], dtype=object)
    refused = refusal(tmp_path, saved(array))
    assert (refused.code, "pickled" in refused.message) == ("data-type", True)
    np.savez(tmp_path / "d.npz", x=array)
    with pytest.raises(DataError, match="pickled"):
        read_npz(Folder(tmp_path), "d.npz", ("x",), ("x",), {})
    assert refusal(tmp_path, pickle.dumps(Bomb())).code == "data-damaged"
    assert not (tmp_path / "loaded").exists()


@pytest.mark.parametrize(
    "array", [np.array([1j]), np.array(["a"]), np.zeros(2, "i4,f4"), np.zeros(1, "M8[s]")]
)
def test_values_that_are_no_tensors_are_refused(tmp_path: Path, array: np.ndarray) -> None:
    assert refusal(tmp_path, saved(array)).code in ("data-type", "data-damaged")


def test_a_single_number_is_no_set_of_examples(tmp_path: Path) -> None:
    assert refusal(tmp_path, saved(np.float32(3))).code == "data-shape"


def test_an_empty_array_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path, saved(np.zeros((0, 3)))).code == "data-empty"


def test_a_file_that_claims_terabytes_is_refused_from_its_header(tmp_path: Path) -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 500000), }"
    refused = refusal(tmp_path, npy(header))
    assert (refused.code, "4.0 TB" in refused.message) == ("data-damaged", True)


HEADERS = {
    "no header": "",
    "not a dict": "[" * 5000,
    "a call": "{'descr': open('x'), 'fortran_order': False, 'shape': (1,)}",
    "no shape": "{'descr': '<f4', 'fortran_order': False}",
    "negative size": "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
    "endless digits": "{'descr': '<f4', 'fortran_order': False, 'shape': (%s,)}" % ("9" * 6000),
    "huge product": "{'descr': '<f4', 'fortran_order': False, 'shape': (%s)}" % ("99999999, " * 30),
    "unknown dtype": "{'descr': '<z9', 'fortran_order': False, 'shape': (1,)}",
}


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS.keys())
def test_a_hostile_header_is_refused(tmp_path: Path, header: str) -> None:
    assert refusal(tmp_path, npy(header, bytes(64))).code in ("data-damaged", "data-type")


def test_a_file_cut_short_or_grown_is_refused(tmp_path: Path) -> None:
    data = saved(X)
    for damaged in (data[:-1], data[:100], data[:5], b"", data + b"x"):
        assert refusal(tmp_path, damaged).code == "data-damaged"


def test_a_missing_array_names_the_nearest(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", images=X, labels=Y)
    with pytest.raises(DataError) as caught:
        read_npz(Folder(tmp_path), "d.npz", ("image",), ("image",), {})
    assert caught.value.help == "`images` exists; did you mean that?"


def test_an_archive_bomb_is_refused_before_memory_is_taken(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "d.npz", x=np.zeros(100 << 20, np.uint8))
    tracemalloc.start()
    with pytest.raises(DataError) as caught:
        read_npz(Folder(tmp_path), "d.npz", ("x",), ("x",), {})
    assert caught.value.code == "data-limit"
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_member_that_lies_about_its_array_is_refused(tmp_path: Path) -> None:
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 500000), }"
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("x.npy", npy(header, bytes(800)))
    with pytest.raises(DataError) as caught:
        read_npz(Folder(tmp_path), "d.npz", ("x",), ("x",), {})
    assert (caught.value.code, caught.value.path) == ("data-damaged", "d.npz[x]")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=X)
    whole = bytearray((tmp_path / "d.npz").read_bytes())
    at = whole.index(X.tobytes())
    whole[at] ^= 1
    for data in (bytes(whole), bytes(whole[:50]), b"PK\3\4", b"no archive", b""):
        (tmp_path / "d.npz").write_bytes(data)
        with pytest.raises(DataError) as caught:
            read_npz(Folder(tmp_path), "d.npz", ("x",), ("x",), {})
        assert caught.value.code == "data-damaged"


def test_whole_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    refused = refusal(tmp_path, saved(np.array([1, 2**40])), x="i32")
    assert (refused.code, "example 1" in refused.message) == ("data-value", True)
