"""From the dtype in a file to the dtype that the model's input asks for, losing nothing."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from flowc_runtime.data.errors import DataError
from flowc_runtime.types import DTYPES

# By kind and bytes, so that the byte order does not matter. The 16-bit and unsigned integers
# that flowc has no dtype for become the next larger one.
_NATURAL = {
    "f2": "f16", "f4": "f32", "f8": "f64", "b1": "bool",
    "i1": "i8", "i2": "i32", "i4": "i32", "i8": "i64",
    "u1": "u8", "u2": "i32", "u4": "i64", "u8": "i64",
}  # fmt: skip
_BLOCK_ELEMENTS = 1 << 20
_EXACT = 2.0**53  # integers up to here are exact in f64


def natural_dtype(stored: np.dtype, path: str) -> str:
    """The flowc dtype that holds a stored NumPy dtype; `data-type` where there is none."""
    name = _NATURAL.get(f"{stored.kind}{stored.itemsize}")
    if name is None:
        raise DataError(
            "data-type",
            f"holds {stored}, which is no tensor's dtype",
            path,
            help=f"one of {', '.join(sorted(set(_NATURAL.values())))}",
        )
    return name


def field_dtype(array: np.ndarray, wanted: str | None, name: str, path: str) -> str:
    """The dtype of field `name`, read from `array` ([examples, ...]): `wanted`, if that is given.

    Checks that every value fits: integers stay exact, floating-point numbers are rounded to
    the wanted precision and may not overflow. Raises `data-type` or `data-value`.
    """
    natural = natural_dtype(array.dtype, path)
    dtype = natural if wanted is None else wanted
    _check_kinds(DTYPES[natural].kind, dtype, name, path)
    target = DTYPES[dtype].storage
    if not np.can_cast(array.dtype, target, "safe"):
        _check_range(array, dtype, path)
    return dtype


def unfit(numbers: np.ndarray, dtype: str) -> np.ndarray:
    """Where numbers are none of `dtype`: too large, or with a fraction for an integer.

    What is not finite fits floating-point numbers only.
    """
    target = DTYPES[dtype].storage
    if target.kind == "f":
        return np.asarray(np.isfinite(numbers) & (np.abs(numbers) > np.finfo(target).max))
    if target.kind == "b":
        return np.asarray((numbers != 0) & (numbers != 1))
    low, high = _limits(target)
    if numbers.dtype.kind == "f":
        low, high = max(low, -_EXACT), min(high, _EXACT)
    inside = (numbers >= low) & (numbers <= high)
    return np.asarray(~inside | (numbers != np.floor(numbers)))


def _check_kinds(stored: str, wanted: str, name: str, path: str) -> None:
    target = DTYPES[wanted].kind
    if wanted == "bf16" or (stored == "float" and target == "int"):
        instead = "f32"
    elif target == "bool" and stored != "bool":
        instead = "u8"
    else:
        return
    raise DataError(
        "data-type",
        f"field `{name}` holds {stored} values, which cannot be read as {wanted}",
        path,
        help=f"declare `{name}` as {instead} and cast it in the model",
    )


def _check_range(array: np.ndarray, dtype: str, path: str) -> None:
    target = DTYPES[dtype].storage
    low, high = _limits(target)
    for start, block in _blocks(array):
        outside = (block < low) | (block > high)
        if block.dtype.kind == "f":
            outside &= np.isfinite(block)
        if outside.any():
            where = tuple(int(i) for i in np.argwhere(outside)[0])
            value = f"example {start + where[0]} holds {block[where]}"
            raise DataError("data-value", f"{value}, outside the range of {dtype}", path)


def _limits(target: np.dtype) -> tuple[int | float, int | float]:
    if target.kind == "f":
        info = np.finfo(target)
        return float(info.min), float(info.max)
    whole = np.iinfo(target)
    return int(whole.min), int(whole.max)


def _blocks(array: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Runs of examples small enough to look at without doubling the memory."""
    examples = max(1, _BLOCK_ELEMENTS // max(1, array[0].size))
    for start in range(0, len(array), examples):
        yield start, array[start : start + examples]
