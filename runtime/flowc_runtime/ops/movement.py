"""Ops on the shape of one tensor: reshape, transpose, broadcast; and iota, which makes one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from flowc_runtime.dims import product
from flowc_runtime.ops.blocks import BLOCK_ELEMENTS
from flowc_runtime.ops.cost import moves_only
from flowc_runtime.ops.cotangents import sum_to
from flowc_runtime.ops.elementwise import single
from flowc_runtime.ops.op import (
    Array,
    Attr,
    Attrs,
    Call,
    Emit,
    Forward,
    Op,
    Reject,
    Sample,
    Types,
    kernel_of,
)
from flowc_runtime.ops.rules import NUMBERS, broadcast_shapes, shape_text
from flowc_runtime.types import DTYPES, TensorType


def _reshape_infer(types: Types, attrs: Attrs) -> Types:
    (x,), shape = types, tuple(attrs["shape"])
    if product(shape) != x.size:
        raise Reject(
            f"has {x.size} elements ({x}), but the shape {shape_text(shape)} needs "
            f"{product(shape)}",
            0,
        )
    return (TensorType(x.dtype, shape),)


def _reshape(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    np.copyto(outs[0], ins[0].reshape(outs[0].shape))


def _reshape_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    return (emit("reshape", g, shape=forward.operands[0].type.shape),)


RESHAPE = Op(
    "reshape",
    "The same elements in the same row-major order under another shape.",
    operands=("x",),
    infer=_reshape_infer,
    kernel=_reshape,
    gradient=single(_reshape_rule),
    attrs=(Attr("shape", "the new shape, of as many elements"),),
    in_place=(0,),
    cost=moves_only,
    samples=(
        Sample(("f32[3, 4]",), {"shape": (2, 6)}),
        Sample(("f32[]",), {"shape": (1, 1)}),
        Sample(("bf16[6]",), {"shape": (3, 1, 2)}),
        Sample(("f32[0, 4]",), {"shape": (2, 0)}),
        Sample(("f32[300, 500]",), {"shape": (500, 300)}),
    ),
)


def _transpose_infer(types: Types, attrs: Attrs) -> Types:
    (x,), perm = types, tuple(attrs["perm"])
    if sorted(perm) != list(range(x.rank)):
        raise Reject(
            f"has {x.rank} axes ({x}), so {perm} is no permutation of them: each of "
            f"0..{x.rank - 1} must occur once",
            0,
        )
    return (TensorType(x.dtype, tuple(x.shape[axis] for axis in perm)),)


def _transpose(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    np.copyto(outs[0], ins[0].transpose(attrs["perm"]))


def _transpose_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    perm = forward.attrs["perm"]
    inverse = tuple(perm.index(axis) for axis in range(len(perm)))
    return (emit("transpose", g, perm=inverse),)


TRANSPOSE = Op(
    "transpose",
    "Reorders the axes: axis i of the result is axis `perm[i]` of `x`.",
    operands=("x",),
    infer=_transpose_infer,
    kernel=_transpose,
    gradient=single(_transpose_rule),
    attrs=(Attr("perm", "for each axis of the result, the axis of `x` that it is"),),
    cost=moves_only,
    samples=(
        Sample(("f32[3, 4]",), {"perm": (1, 0)}),
        Sample(("f32[2, 3, 4]",), {"perm": (2, 0, 1)}),
        Sample(("i32[2, 3, 4, 5]",), {"perm": (0, 2, 1, 3)}, low=-9, high=9),
        Sample(("f32[]",), {"perm": ()}),
        Sample(("f32[300, 500]",), {"perm": (1, 0)}),
    ),
)


def _broadcast_infer(types: Types, attrs: Attrs) -> Types:
    (x,), shape = types, tuple(attrs["shape"])
    if x.rank > len(shape) or broadcast_shapes(shape, x.shape, 0) != shape:
        raise Reject(f"is {x}, which does not stretch to {shape_text(shape)}", 0)
    return (TensorType(x.dtype, shape),)


def _copy(
    outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array
) -> list[Call]:
    return [partial(np.copyto, outs[0], ins[0])]


def _broadcast_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    return (sum_to(emit, g, forward.operands[0].type),)


BROADCAST = Op(
    "broadcast",
    "Repeats `x` to a larger shape, by NumPy's rule: trailing axes meet, an axis of size 1 and "
    "missing leading axes are repeated.",
    operands=("x",),
    infer=_broadcast_infer,
    kernel=kernel_of(_copy),
    calls=_copy,
    gradient=single(_broadcast_rule),
    attrs=(Attr("shape", "the shape of the result"),),
    cost=moves_only,
    samples=(
        Sample(("f32[4]",), {"shape": (3, 4)}),
        Sample(("f32[3, 1]",), {"shape": (2, 3, 5)}),
        Sample(("i32[]",), {"shape": (2, 3)}, low=-9, high=9),
        Sample(("f32[1]",), {"shape": (0,)}),
        Sample(("f32[300, 1]",), {"shape": (300, 500)}),
    ),
)


def _iota_infer(types: Types, attrs: Attrs) -> Types:
    shape, axis, dtype = tuple(attrs["shape"]), attrs["axis"], attrs["dtype"]
    if dtype not in NUMBERS:
        raise Reject(f"iota counts in numbers, not in {dtype}")
    if not 0 <= axis < len(shape):
        raise Reject(f"iota has no axis {axis}: its shape is {shape_text(shape)}")
    last = shape[axis] - 1
    if isinstance(last, int) and last > _largest(dtype):
        raise Reject(f"iota cannot count to {last} in {dtype}, which ends at {_largest(dtype)}")
    return (TensorType(dtype, shape),)


def _largest(dtype: str) -> int:
    """The largest number up to which the dtype holds all whole numbers."""
    storage = DTYPES[dtype].storage
    if DTYPES[dtype].kind == "float":
        return 1 << (int(np.finfo(storage).nmant) + 1)
    return int(np.iinfo(storage).max)


def _iota(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    along = np.moveaxis(outs[0], attrs["axis"], -1)
    for start in range(0, along.shape[-1], BLOCK_ELEMENTS):
        stop = min(start + BLOCK_ELEMENTS, along.shape[-1])
        along[..., start:stop] = np.arange(start, stop)


IOTA = Op(
    "iota",
    "Counts along an axis: each element is its own index on that axis.",
    operands=(),
    infer=_iota_infer,
    kernel=_iota,
    attrs=(
        Attr("shape", "the shape of the result"),
        Attr("axis", "the axis to count along"),
        Attr("dtype", "the dtype of the result"),
    ),
    cost=moves_only,
    samples=(
        Sample((), {"shape": (5,), "axis": 0, "dtype": "i32"}),
        Sample((), {"shape": (2, 3, 4), "axis": 1, "dtype": "f32"}),
        Sample((), {"shape": (200000,), "axis": 0, "dtype": "f32"}),
    ),
)

OPS = (RESHAPE, TRANSPOSE, BROADCAST, IOTA)
