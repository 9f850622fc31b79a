"""Order along an axis: where each element would stand, were the axis sorted."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import log2, prod

import numpy as np

from flowc_runtime.ops.along import AXIS
from flowc_runtime.ops.op import Array, Attr, Attrs, Cost, Op, Sample, Types, bytes_moved
from flowc_runtime.ops.rules import NUMBERS, need_axis, need_dtype
from flowc_runtime.types import TensorType

KEY_BYTES = 8  # a sortable word of 32 bits, and the position below it
WIDE = (np.dtype(np.float64), np.dtype(np.int64))
LOWER = 0 if sys.byteorder == "little" else 1  # which half of a word is the lower one in memory
SIGN = 0x80000000
NAN_KEY = 0x7FC00000  # the bits of a NaN without a sign: above those of infinity


def _infer(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, NUMBERS)
    need_axis(attrs["axis"], types[0])
    return (TensorType("i32", types[0].shape),)


def _argsort(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    out = np.moveaxis(outs[0], attrs["axis"], -1)
    x = np.moveaxis(ins[0], attrs["axis"], -1)
    if not out.size:
        return
    if x.dtype in WIDE:
        _by_rows(out, x, attrs["descending"])
    else:
        _by_words(out, x, attrs["descending"], scratch)


def _by_words(out: Array, x: Array, descending: bool, scratch: Array) -> None:
    """Sorts words of 64 bits in place: the number in the upper half, its position in the lower.

    The position makes every word unlike the others, so that any way of sorting is stable.
    """
    words = scratch[: x.size * KEY_BYTES].view(np.uint64).reshape(x.shape)
    position, number = _halves(words)
    if x.dtype.kind == "f":
        _float_keys(words, x)
    else:
        np.copyto(number.view(np.int32), x, casting="unsafe")
        np.bitwise_xor(number, SIGN, out=number)
    if descending:
        np.invert(number, out=number)
    position.fill(1)
    position[..., 0] = 0
    np.add.accumulate(position, axis=-1, dtype=np.uint32, out=position)
    words.sort(axis=-1)
    np.copyto(out, position.view(np.int32))


def _halves(words: Array) -> tuple[Array, Array]:
    """The lower and the upper 32 bits."""
    halves = words.view(np.uint32).reshape(*words.shape, 2)
    return halves[..., LOWER], halves[..., 1 - LOWER]


def _float_keys(words: Array, x: Array) -> None:
    """The bits of floats, made to sort as unsigned integers: 0 and -0 alike, a NaN on top."""
    free, number = _halves(words)
    values = number.view(np.float32)
    is_nan = words.view(np.bool_).reshape(*x.shape, KEY_BYTES)[..., 4 * LOWER]
    np.add(x, np.float32(0), out=values)  # -0 becomes 0
    np.not_equal(values, values, out=is_nan)
    np.copyto(number, NAN_KEY, where=is_nan)
    np.right_shift(number.view(np.int32), 31, out=free.view(np.int32))
    np.bitwise_or(free, SIGN, out=free)  # all bits of a negative number are turned, else the first
    np.bitwise_xor(number, free, out=number)


def _by_rows(out: Array, x: Array, descending: bool) -> None:
    """NumPy's own order of 64-bit numbers, row by row; it allocates two rows."""
    for row in np.ndindex(x.shape[:-1]):
        if descending:  # backwards, so that equal elements stay in their order
            order = np.argsort(x[row][::-1], kind="stable")[::-1]
            np.subtract(x.shape[-1] - 1, order, out=out[row], casting="unsafe")
        else:
            np.copyto(out[row], np.argsort(x[row], kind="stable"), casting="unsafe")


def _scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return 0 if types[0].storage in WIDE else prod(types[0].sizes) * KEY_BYTES


def _cost(types: Types, results: Types, attrs: Attrs) -> Cost:
    """A comparison for each element and each halving of the axis."""
    length = types[0].sizes[attrs["axis"]]
    flops = prod(types[0].sizes) * max(1, round(log2(length))) if length else 0
    return Cost(flops, bytes_moved(types, results))


ARGSORT = Op(
    "argsort",
    "The positions along an axis of the smallest element, the next one and so on, or of the "
    "largest one first if `descending`; equal elements stay in their order. NaN counts as the "
    "largest. 64-bit numbers are sorted in memory that is allocated for a row at a time.",
    operands=("x",),
    infer=_infer,
    kernel=_argsort,
    attrs=(
        AXIS,
        Attr("descending", "whether the largest is first", default=False, required=False),
    ),
    cost=_cost,
    scratch_bytes=_scratch,
    samples=(
        Sample(("f32[3, 5]",), {"axis": 1, "descending": False}),
        Sample(("f32[2, 3, 4]",), {"axis": 0, "descending": True}),
        Sample(("i32[2, 9, 4]",), {"axis": 1, "descending": True}, low=-3, high=3),
        Sample(("i64[9]",), {"axis": 0, "descending": True}, low=-3, high=3),
        Sample(("f64[3, 1]",), {"axis": 1, "descending": False}),
        Sample(("u8[0, 4]",), {"axis": 1, "descending": False}),
        Sample(("f32[4, 0]",), {"axis": 1, "descending": False}),
        Sample(("f32[400, 500]",), {"axis": 0, "descending": False}),
    ),
)

OPS = (ARGSORT,)
