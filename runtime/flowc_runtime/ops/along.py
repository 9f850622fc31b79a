"""Ops along one axis: the position of an extreme, and running sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from flowc_runtime.ops.cost import per_operand_element
from flowc_runtime.ops.elementwise import single
from flowc_runtime.ops.op import (
    Array,
    Attr,
    Attrs,
    BadValue,
    Emit,
    Forward,
    Kernel,
    Op,
    Reject,
    Sample,
    Types,
)
from flowc_runtime.ops.rules import NUMBERS, need_axis, need_dtype
from flowc_runtime.types import TensorType

AXIS = Attr("axis", "the axis to go along, counted from 0")


def _position_infer(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, NUMBERS)
    (x,), axis = types, attrs["axis"]
    need_axis(axis, x)
    if x.shape[axis] == 0:
        raise Reject(f"has no elements along axis {axis}, and so no extreme: {x}", 0)
    return (TensorType("i32", x.shape[:axis] + x.shape[axis + 1 :]),)


def _position(find: Callable[..., Any]) -> Kernel:
    """NumPy finds positions as i64, along the last axis without a copy; both need scratch."""

    def kernel(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
        out, x, axis = outs[0], ins[0], attrs["axis"]
        if not out.size:
            return
        if not x.size:
            raise BadValue("the extreme of no elements does not exist")
        found = scratch[: out.size * 8].view(np.int64).reshape(out.shape)
        if axis != x.ndim - 1:
            turned = np.moveaxis(x, axis, -1)
            x = scratch[out.size * 8 :][: x.nbytes].view(x.dtype).reshape(turned.shape)
            np.copyto(x, turned)
        find(x, axis=-1, out=found)
        np.copyto(out, found, casting="same_kind")

    return kernel


def _position_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    turned = types[0].bytes if attrs["axis"] != types[0].rank - 1 else 0
    return prod(results[0].sizes) * 8 + turned


def _position_op(name: str, doc: str, find: Callable[..., Any]) -> Op:
    return Op(
        name,
        doc,
        operands=("x",),
        infer=_position_infer,
        kernel=_position(find),
        attrs=(AXIS,),
        cost=per_operand_element,
        scratch_bytes=_position_scratch,
        samples=(
            Sample(("f32[3, 5]",), {"axis": 1}),
            Sample(("f32[7]",), {"axis": 0}),
            Sample(("i32[2, 3, 4]",), {"axis": 1}, low=-9, high=9),
            Sample(("f32[0, 4]",), {"axis": 1}),
            Sample(("f32[500, 400]",), {"axis": 0}),
        ),
    )


def _cumsum_infer(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, NUMBERS)
    need_axis(attrs["axis"], types[0])
    return types


def _cumsum(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    out, x, axis = outs[0], ins[0], attrs["axis"]
    if attrs["reverse"]:
        out, x = np.flip(out, axis), np.flip(x, axis)
    np.add.accumulate(x, axis=axis, dtype=out.dtype, out=out)


def _cumsum_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    axis, reverse = forward.attrs["axis"], not forward.attrs["reverse"]
    return (emit("cumsum", g, axis=axis, reverse=reverse),)


ARGMAX = _position_op(
    "argmax",
    "The position of the largest element along an axis, the first one at a tie; NaN counts as "
    "the largest.",
    np.argmax,
)
ARGMIN = _position_op(
    "argmin",
    "The position of the smallest element along an axis, the first one at a tie; NaN counts as "
    "the smallest.",
    np.argmin,
)
CUMSUM = Op(
    "cumsum",
    "The running sum along an axis: element i is the sum of elements 0 to i, or of i to the last "
    "one if reversed.",
    operands=("x",),
    infer=_cumsum_infer,
    kernel=_cumsum,
    gradient=single(_cumsum_rule),
    attrs=(
        AXIS,
        Attr("reverse", "whether to start at the end", default=False, required=False),
    ),
    samples=(
        Sample(("f32[3, 5]",), {"axis": 1, "reverse": False}),
        Sample(("f32[2, 3, 4]",), {"axis": 0, "reverse": True}),
        Sample(("i32[7]",), {"axis": 0, "reverse": True}, low=-9, high=9),
        Sample(("f32[400, 500]",), {"axis": 1, "reverse": True}),
    ),
)

OPS = (ARGMAX, ARGMIN, CUMSUM)
