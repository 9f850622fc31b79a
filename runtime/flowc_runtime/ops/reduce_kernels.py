"""Kernels of the reductions: NumPy's, with a detour where rows are many and short."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np

from flowc_runtime.ops.op import Array, Attrs, BadValue, Call, Calls, Types

WIDE = 512  # elements of a row from which on NumPy adds rows at full speed
FOLDED = 2048  # at most as many elements in a row that is made of several
F16, F32 = np.dtype(np.float16), np.dtype(np.float32)


def reduction(ufunc: np.ufunc) -> Calls:
    def calls(
        outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array
    ) -> list[Call]:
        return _reduce(ufunc, outs[0], ins[0], attrs, scratch)

    return calls


def extreme(ufunc: np.ufunc) -> Calls:
    def calls(
        outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array
    ) -> list[Call]:
        if outs[0].size and not ins[0].size:
            return [_refuse_nothing]
        return _reduce(ufunc, outs[0], ins[0], attrs, scratch)

    return calls


def _refuse_nothing() -> None:
    raise BadValue("the extreme of no elements does not exist")


def sum_calls(
    outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array
) -> list[Call]:
    """f16 is summed in f32, which takes scratch for the totals."""
    out = outs[0]
    if out.dtype != F16:
        return _reduce(np.add, out, ins[0], attrs, scratch)
    total = scratch[: out.size * 4].view(F32).reshape(out.shape)
    convert = partial(np.copyto, out, total, casting="same_kind")
    return [_plain(np.add, total, ins[0], attrs), convert]


def sum_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    if types[0].dtype == "f16":
        return 4 * math.prod(results[0].sizes)
    return fold_scratch(types, results, attrs)


def fold_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return _folding(types[0].sizes, attrs["axes"]) * types[0].storage.itemsize


def _reduce(
    ufunc: np.ufunc, out: Array, x: Array, attrs: Attrs, scratch: Array
) -> list[Call]:
    """Rows that are many and short (a bias gradient, say) are taken several at a time."""
    width = _folding(x.shape, attrs["axes"])
    if not width:
        return [_plain(ufunc, out, x, attrs)]
    folded = scratch[: width * out.itemsize].view(out.dtype)
    rows, parts = x.reshape(-1, width), folded.reshape(-1, out.size)
    return [
        partial(ufunc.reduce, rows, 0, out.dtype, folded),
        partial(ufunc.reduce, parts, 0, out.dtype, out.reshape(-1)),
    ]


def _plain(ufunc: np.ufunc, out: Array, x: Array, attrs: Attrs) -> Call:
    keep = bool(attrs["keep"])
    return partial(ufunc.reduce, x, attrs["axes"], out.dtype, out, keepdims=keep)


def _folding(sizes: tuple[int, ...], axes: tuple[int, ...]) -> int:
    """Elements of a folded row, 0 where folding does not pay: several short rows make one.

    The number of rows in one is near the root of all, so that both steps cost the same.
    """
    rows, columns = math.prod(sizes[: len(axes)]), math.prod(sizes[len(axes) :])
    if sorted(axes) != list(range(len(axes))) or not 1 < columns < WIDE:
        return 0
    for together in range(min(math.isqrt(rows), FOLDED // columns), 3, -1):
        if rows % together == 0:
            return together * columns
    return 0
