"""How dtypes, numbers and positions are written in CUDA C."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

TYPES = {
    "f32": "float", "f64": "double", "i64": "long long", "i32": "int", "i8": "signed char",
    "u8": "unsigned char", "bool": "bool",
}  # fmt: skip


def number(dtype: str, value: float) -> str:
    """A number as a literal that has the dtype."""
    if dtype == "bool":
        return str(bool(value)).lower()
    if dtype not in ("f32", "f64"):
        return f"{int(value)}LL" if dtype == "i64" else str(int(value))
    rounded = np.float32(value) if dtype == "f32" else np.float64(value)
    if not np.isfinite(rounded):
        return _special(dtype, float(rounded))
    return f"{rounded!s}f" if dtype == "f32" else str(rounded)  # !s: as short as its bits allow


def _special(dtype: str, value: float) -> str:
    if dtype == "f32":
        return f"__int_as_float({hex(int(np.float32(value).view(np.uint32)))})"
    return f"__longlong_as_double({hex(int(np.float64(value).view(np.uint64)))}LL)"


def positions(name: str, flat: str, sizes: Sequence[int]) -> Iterator[str]:
    """Lines that take a flat position apart: `name`0 for the outermost axis, and so on."""
    after = 1
    for axis in reversed(range(len(sizes))):
        whole = flat if after == 1 else f"{flat} / {after}"
        part = whole if axis == 0 else f"{whole} % {sizes[axis]}"
        yield f"const unsigned {name}{axis} = {part};"
        after *= sizes[axis]


def offset(name: str, strides: Sequence[int], *more: str) -> str:
    """The sum of the positions times their strides, and of more."""
    terms = [
        f"{name}{axis}" if stride == 1 else f"{name}{axis} * {stride}"
        for axis, stride in enumerate(strides) if stride
    ]
    return " + ".join([*terms, *more]) or "0"


def strides_of(dims: Sequence[int]) -> tuple[int, ...]:
    """Those of a tensor that lies row by row; 0 along an axis of size 1, which is broadcast."""
    return tuple(0 if d == 1 else prod(dims[axis + 1 :]) for axis, d in enumerate(dims))


def indented(lines: Sequence[str]) -> list[str]:
    return [f"    {line}" for line in lines]
