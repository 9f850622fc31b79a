"""The binary records of CIFAR-10 (Krizhevsky 2009), gzip or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowc_runtime.data.content import open_content
from flowc_runtime.data.conversion import field_dtype
from flowc_runtime.data.dataset import Arrays, Dataset, Field
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.folder import Folder

CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip
_SIDE, _CHANNELS = 32, 3
_RECORD_BYTES = 1 + _CHANNELS * _SIDE * _SIDE
_MOST_BYTES = 1 << 30


def read_cifar10(
    folder: Folder, paths: Sequence[str], fields: Sequence[str], wanted: Mapping[str, str]
) -> Dataset:
    """Pictures u8[32, 32, 3] and classes, of all files one after the other.

    A record is the class in one byte, then the red, the green and the blue plane.
    """
    records = np.concatenate([_records(folder, path) for path in paths])
    planes = records[:, 1:].reshape(-1, _CHANNELS, _SIDE, _SIDE)
    arrays = [np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), records[:, 0].copy()]
    origin = ", ".join(paths)
    image, label = (
        Field(
            name, field_dtype(array, wanted.get(name, natural), name, origin), array.shape[1:],
            classes)
        for name, array, natural, classes in zip(
            fields, arrays, ("u8", "i32"), ((), CLASSES), strict=True)
    )
    return Arrays(origin, (image, label), arrays)


def _records(folder: Folder, path: str) -> np.ndarray:
    with open_content(folder, path) as content:
        data = content.whole(_MOST_BYTES)
    if not data or len(data) % _RECORD_BYTES:
        message = f"{len(data)} bytes are not a number of records of {_RECORD_BYTES}"
        raise DataError("data-damaged", message, path)
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD_BYTES)
    beyond = np.flatnonzero(records[:, 0] >= len(CLASSES))
    if len(beyond):
        message = f"record {beyond[0]} is of class {records[beyond[0], 0]}; there are ten"
        raise DataError("data-damaged", message, path)
    return records
