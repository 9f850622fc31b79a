"""NumPy's own files: `.npy` mapped into memory, `.npz` unpacked; never a pickle."""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np

from flowc_runtime.data.content import Content, check_packed, open_content
from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError, damage, did_you_mean
from flowc_runtime.data.fields import check_sizes, join
from flowc_runtime.data.folder import Folder

_MAGIC = b"\x93NUMPY"
_HEADER_BYTES = 1 << 16
_SIZE_DIGITS = 18
_DTYPES = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_DESCR = re.compile(r"'descr':\s*'([^']*)'")
_ORDER = re.compile(r"'fortran_order':\s*(True|False)")
_SHAPE = re.compile(r"'shape':\s*\(([\d,\s]*)\)")


def read_npy(
    folder: Folder, paths: Sequence[str], fields: Sequence[str], wanted: Mapping[str, str]
) -> Dataset:
    """One field from each `.npy` file; the arrays stay on disk and are mapped."""
    return join(paths, fields, [_map_array(folder, path) for path in paths], wanted)


def read_npz(
    folder: Folder,
    path: str,
    keys: Sequence[str],
    fields: Sequence[str],
    wanted: Mapping[str, str],
) -> Dataset:
    """One field from each array `keys` of a `.npz` file, read into memory."""
    with open_content(folder, path) as content, _archive(content) as archive:
        arrays = [_unpack(archive, content, key) for key in keys]
    return join([path] * len(arrays), fields, arrays, wanted)


def _map_array(folder: Folder, path: str) -> np.ndarray:
    with open_content(folder, path) as content:
        _refuse_gzip(content)
        dtype, shape, order, offset = _read_header(content)
        count = math.prod(shape) * dtype.itemsize
        content.check_claim(offset + count)
        if offset + count < content.size:
            raise DataError("data-damaged", "more bytes than its header declares", path)
        mapped = np.memmap(content.stream, dtype, "r", offset, shape, order)  # type: ignore[call-overload]
        return np.asarray(mapped)


@contextmanager
def _archive(content: Content) -> Iterator[zipfile.ZipFile]:
    _refuse_gzip(content)
    kinds = (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, NotImplementedError, ValueError)
    with damage(content.path, *kinds), zipfile.ZipFile(content.stream) as archive:
        yield archive


def _refuse_gzip(content: Content) -> None:
    if content.packed:
        raise DataError("data-damaged", "is compressed; unpack it (gunzip) first", content.path)


def _unpack(archive: zipfile.ZipFile, content: Content, key: str) -> np.ndarray:
    try:
        info = archive.getinfo(f"{key}.npy")
    except KeyError as error:
        known = sorted(name.removesuffix(".npy") for name in archive.namelist())
        help = did_you_mean(key, known) or f"it has {', '.join(known[:10])}"
        raise DataError("data-missing", f"no array `{key}`", content.path, help=help) from error
    name = f"{content.path}[{key}]"
    check_packed(name, min(info.compress_size, content.size), info.file_size)
    with archive.open(info) as stream:
        member = Content(name, stream, info.file_size, packed=False)
        dtype, shape, order, offset = _read_header(member)
        member.check_claim(offset + math.prod(shape) * dtype.itemsize)
        array = np.empty(shape[::-1] if order == "F" else shape, dtype)
        member.fill(array)
    return array.T if order == "F" else array


def _read_header(content: Content) -> tuple[np.dtype, tuple[int, ...], str, int]:
    """(dtype, shape, "C" or "F", where the numbers begin). The text is matched, not evaluated."""
    start = content.read_exactly(8)
    if start[:6] != _MAGIC or start[6] not in (1, 2, 3):
        raise DataError("data-damaged", "no .npy file (its magic number is wrong)", content.path)
    width = 2 if start[6] == 1 else 4
    (length,) = struct.unpack("<H" if width == 2 else "<I", content.read_exactly(width))
    if length > _HEADER_BYTES:
        raise DataError("data-damaged", f"declares a header of {length} bytes", content.path)
    text = content.read_exactly(length).decode("latin-1")
    descr, order, shape = (pattern.search(text) for pattern in (_DESCR, _ORDER, _SHAPE))
    if descr is None or order is None or shape is None:
        raise DataError("data-damaged", "its header is not that of a plain array", content.path)
    dtype, sizes = _dtype(descr[1], content.path), _sizes(shape[1], content.path)
    return dtype, sizes, "F" if order[1] == "True" else "C", 8 + width + length


def _dtype(descr: str, path: str) -> np.dtype:
    plain = descr.lstrip("<>|=")
    if plain == "O":
        raise DataError("data-type", "holds pickled Python objects, which are never loaded", path)
    if plain not in _DTYPES or len(descr) > 3:
        message = f"holds `{descr[:40]}`, which is no tensor's dtype"
        raise DataError("data-type", message, path)
    return np.dtype(descr)


def _sizes(text: str, path: str) -> tuple[int, ...]:
    parts = re.findall(r"\d+", text)
    if any(len(part) > _SIZE_DIGITS for part in parts):
        raise DataError("data-damaged", "declares a size beyond all memory", path)
    sizes = tuple(int(part) for part in parts)
    check_sizes(sizes, path)
    return sizes
