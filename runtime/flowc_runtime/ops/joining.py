"""Ops that put tensors together: concat and pad."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc_runtime.dims import Dim
from flowc_runtime.ops.cost import moves_only
from flowc_runtime.ops.elementwise import single
from flowc_runtime.ops.op import Array, Attr, Attrs, Emit, Forward, Op, Reject, Sample, Types
from flowc_runtime.ops.rules import need_axis, same_dtype
from flowc_runtime.types import FLOATS, TensorType


def _concat_infer(types: Types, attrs: Attrs) -> Types:
    if not types:
        raise Reject("concat needs at least one operand")
    axis, dtype = attrs["axis"], same_dtype(types)
    need_axis(axis, types[0])
    total: Dim = 0
    for position, type in enumerate(types):
        _need_same_but(axis, types[0], type, position)
        total = total + type.shape[axis]
    shape = types[0].shape
    return (TensorType(dtype, (*shape[:axis], total, *shape[axis + 1 :])),)


def _need_same_but(axis: int, first: TensorType, type: TensorType, position: int) -> None:
    if type.rank != first.rank:
        raise Reject(f"needs {first.rank} axes to match {first}, but is {type}", position, 0)
    for i, (x, y) in enumerate(zip(first.shape, type.shape, strict=True)):
        if i != axis and x != y:
            raise Reject(
                f"needs size {x} along axis {i} to match {first}, but is {type}", position, 0
            )


def _concat(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    np.concatenate(ins, axis=attrs["axis"], out=outs[0])


def _concat_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    axis, start = forward.attrs["axis"], 0
    parts: list[Any] = []
    for x in forward.operands:
        stop = start + x.type.shape[axis]
        parts.append(cut(emit, g, {axis: (start, stop)}))
        start = stop
    return tuple(parts)


def cut(emit: Emit, x: Any, ranges: dict[int, tuple[Dim, Dim]]) -> Any:
    """`x` between start and stop along the given axes, and all of it along the others."""
    axes = range(x.type.rank)
    return emit(
        "slice",
        x,
        starts=tuple(ranges[axis][0] if axis in ranges else 0 for axis in axes),
        stops=tuple(ranges[axis][1] if axis in ranges else None for axis in axes),
        steps=(1,) * x.type.rank,
    )


CONCAT = Op(
    "concat",
    "Puts tensors one after the other along an axis; their other axes are equal.",
    operands=("xs",),
    infer=_concat_infer,
    kernel=_concat,
    gradient=single(_concat_rule),
    attrs=(Attr("axis", "the axis along which they follow each other"),),
    variadic=True,
    cost=moves_only,
    samples=(
        Sample(("f32[3, 4]", "f32[3, 2]"), {"axis": 1}),
        Sample(("f32[1, 4]", "f32[3, 4]", "f32[0, 4]"), {"axis": 0}),
        Sample(("i32[2]",), {"axis": 0}, low=-9, high=9),
        Sample(("f32[300, 200]", "f32[300, 200]"), {"axis": 1}),
    ),
)


def _pad_infer(types: Types, attrs: Attrs) -> Types:
    (x,), before, after = types, attrs["before"], attrs["after"]
    if not len(before) == len(after) == x.rank:
        raise Reject(f"has {x.rank} axes ({x}), but the padding has {len(before)}", 0)
    if min((*before, *after), default=0) < 0:
        raise Reject("is padded by a negative number of elements", 0)
    _need_fits(attrs["value"], x)
    shape = tuple(b + dim + a for b, dim, a in zip(before, x.shape, after, strict=True))
    return (TensorType(x.dtype, shape),)


def _need_fits(value: float, x: TensorType) -> None:
    """Floats hold any number; bf16 is held as bits, of which only those of 0 are the number's."""
    if x.dtype in FLOATS:
        return
    least, most = 0, 0 if x.dtype == "bf16" else 1
    if x.kind == "int":
        least, most = int(np.iinfo(x.storage).min), int(np.iinfo(x.storage).max)
    if not (least <= value <= most and value == int(value)):
        raise Reject(f"is {x}, which cannot be padded with {value}", 0)


def _pad(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    out, x = outs[0], ins[0]
    out.fill(attrs["value"])
    inside = zip(attrs["before"], x.shape, strict=True)
    np.copyto(out[tuple(slice(start, start + size) for start, size in inside)], x)


def _pad_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    before, after = forward.attrs["before"], forward.attrs["after"]
    ranges = {
        axis: (before[axis], before[axis] + dim)
        for axis, dim in enumerate(forward.operands[0].type.shape)
        if before[axis] or after[axis]
    }
    return (cut(emit, g, ranges),)


PAD = Op(
    "pad",
    "Surrounds `x` with copies of a value.",
    operands=("x",),
    infer=_pad_infer,
    kernel=_pad,
    gradient=single(_pad_rule),
    attrs=(
        Attr("before", "for each axis, how many elements go before `x`"),
        Attr("after", "for each axis, how many elements go after `x`"),
        Attr("value", "what to fill with", default=0.0, required=False),
    ),
    cost=moves_only,
    samples=(
        Sample(("f32[3, 4]",), {"before": (0, 1), "after": (2, 0), "value": 0.0}),
        Sample(("f32[2, 1, 3]",), {"before": (1, 0, 1), "after": (1, 0, 2), "value": -1.5}),
        Sample(("i32[4]",), {"before": (2,), "after": (0,), "value": 7}, low=-9, high=9),
        Sample(("f32[300, 500]",), {"before": (1, 1), "after": (1, 1), "value": 0.0}),
    ),
)


OPS = (CONCAT, PAD)
