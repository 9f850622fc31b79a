"""From whole arrays to a dataset: one field an array, all of the same length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowc_runtime.data.conversion import field_dtype
from flowc_runtime.data.dataset import Arrays, Dataset, Field
from flowc_runtime.data.errors import DataError

_MOST_DIMENSIONS = 32


def join(
    paths: Sequence[str],
    names: Sequence[str],
    arrays: Sequence[np.ndarray],
    wanted: Mapping[str, str],
) -> Dataset:
    """The dataset with `arrays[k]`, read from `paths[k]`, as the field `names[k]`.

    `wanted` gives dtypes by field name. Raises `data-shape` where the lengths differ, and what
    `field_dtype` raises.
    """
    for path, array in zip(paths, arrays, strict=True):
        if len(array) != len(arrays[0]):
            message = f"{len(array)} examples, but {paths[0]} has {len(arrays[0])}"
            raise DataError("data-shape", message, path)
    fields = tuple(
        Field(name, field_dtype(array, wanted.get(name), name, path), array.shape[1:])
        for name, array, path in zip(names, arrays, paths, strict=True)
    )
    return Arrays(", ".join(dict.fromkeys(paths)), fields, arrays)


def check_sizes(shape: tuple[int, ...], path: str) -> None:
    """Refuses a declared shape that is no array of examples."""
    if not 1 <= len(shape) <= _MOST_DIMENSIONS:
        message = f"an array of {len(shape)} dimensions; the first one counts the examples"
        raise DataError("data-shape", message, path)
    if 0 in shape:
        sizes = " x ".join(map(str, shape))
        raise DataError("data-empty", f"holds nothing (its sizes are {sizes})", path)
