"""Kernels of the reductions: NumPy's, with a detour where rows are many and short."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from flowc_runtime.ops.op import Array, Attrs, BadValue, Kernel, Types

WIDE = 512  # elements of a row from which on NumPy adds rows at full speed
FOLDED = 2048  # at most as many elements in a row that is made of several
F16, F32 = np.dtype(np.float16), np.dtype(np.float32)


def reduction(ufunc: np.ufunc) -> Kernel:
    def kernel(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
        _reduce(ufunc, outs[0], ins[0], attrs, scratch)

    return kernel


def extreme(ufunc: np.ufunc) -> Kernel:
    def kernel(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
        if outs[0].size and not ins[0].size:
            raise BadValue("the extreme of no elements does not exist")
        _reduce(ufunc, outs[0], ins[0], attrs, scratch)

    return kernel


def sum_kernel(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    """f16 is summed in f32, which takes scratch for the totals."""
    out = outs[0]
    if out.dtype != F16:
        _reduce(np.add, out, ins[0], attrs, scratch)
        return
    total = scratch[: out.size * 4].view(F32).reshape(out.shape)
    _plain(np.add, total, ins[0], attrs)
    np.copyto(out, total, casting="same_kind")


def sum_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    if types[0].dtype == "f16":
        return 4 * math.prod(results[0].sizes)
    return fold_scratch(types, results, attrs)


def fold_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return _folding(types[0].sizes, attrs["axes"]) * types[0].storage.itemsize


def _reduce(ufunc: np.ufunc, out: Array, x: Array, attrs: Attrs, scratch: Array) -> None:
    """Rows that are many and short (a bias gradient, say) are taken several at a time."""
    width = _folding(x.shape, attrs["axes"])
    if not width:
        _plain(ufunc, out, x, attrs)
        return
    folded = scratch[: width * out.itemsize].view(out.dtype)
    ufunc.reduce(x.reshape(-1, width), axis=0, dtype=out.dtype, out=folded)
    ufunc.reduce(folded.reshape(-1, out.size), axis=0, dtype=out.dtype, out=out.reshape(-1))


def _plain(ufunc: np.ufunc, out: Array, x: Array, attrs: Attrs) -> None:
    keep = bool(attrs["keep"])
    ufunc.reduce(x, axis=attrs["axes"], dtype=out.dtype, out=out, keepdims=keep)


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
