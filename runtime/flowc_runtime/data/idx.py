"""The IDX format of MNIST: one file a field, gzip or not."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence

import numpy as np

from flowc_runtime.data.content import Content, open_content
from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.fields import check_sizes, join
from flowc_runtime.data.folder import Folder

_DTYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


def read_idx(
    folder: Folder, paths: Sequence[str], fields: Sequence[str], wanted: Mapping[str, str]
) -> Dataset:
    """One field from each file; all files must hold the same number of examples."""
    return join(paths, fields, [read_array(folder, path) for path in paths], wanted)


def read_array(folder: Folder, path: str) -> np.ndarray:
    """The array in the IDX file at `path`, in the machine's byte order."""
    with open_content(folder, path) as content:
        dtype, shape = _read_header(content)
        array = np.empty(shape, dtype)
        content.fill(array)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _read_header(content: Content) -> tuple[np.dtype, tuple[int, ...]]:
    zeros, code, rank = struct.unpack(">HBB", content.read_exactly(4))
    if zeros != 0 or code not in _DTYPES:
        message = f"no IDX file: it begins with {zeros:04x} {code:02x} {rank:02x}"
        raise DataError("data-damaged", message, content.path)
    shape = struct.unpack(f">{rank}I", content.read_exactly(4 * rank))
    dtype = np.dtype(_DTYPES[code])
    check_sizes(shape, content.path)
    content.check_claim(4 + 4 * rank + math.prod(shape) * dtype.itemsize)
    return dtype, shape
