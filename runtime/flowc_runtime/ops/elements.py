"""Elements along an axis by index, one index for each element: gather_along, scatter_add_along."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from flowc_runtime.dims import Dim
from flowc_runtime.ops.blocks import BLOCK_ELEMENTS
from flowc_runtime.ops.cost import moves_only, per_operand_element
from flowc_runtime.ops.elementwise import single
from flowc_runtime.ops.indexing import INDEX_BYTES, need_inside
from flowc_runtime.ops.op import Array, Attr, Attrs, Emit, Forward, Op, Reject, Sample, Types
from flowc_runtime.ops.rules import INTS, NUMBERS, Shape, need_axis, need_dtype, shape_text
from flowc_runtime.types import TensorType

AXIS = Attr("axis", "the axis that the indices count along")


def _with(shape: Shape, axis: int, size: Dim) -> Shape:
    return (*shape[:axis], size, *shape[axis + 1 :])


def _gather_infer(types: Types, attrs: Attrs) -> Types:
    x, index = types
    need_dtype((index,), INTS, first=1)
    need_axis(attrs["axis"], x)
    if index.rank != x.rank or _with(x.shape, attrs["axis"], 0) != _with(
        index.shape, attrs["axis"], 0
    ):
        raise Reject(f"needs the shape of {x} but along axis {attrs['axis']}; it is {index}", 1, 0)
    return (TensorType(x.dtype, index.shape),)


def _scatter_infer(types: Types, attrs: Attrs) -> Types:
    index, updates = types
    need_dtype((index,), INTS)
    need_dtype((updates,), NUMBERS, first=1)
    need_axis(attrs["axis"], index)
    if updates.shape != index.shape:
        raise Reject(f"needs the shape {shape_text(index.shape)}, but is {updates}", 1, 0)
    return (TensorType(updates.dtype, _with(updates.shape, attrs["axis"], attrs["size"])),)


def _positions(index: Array, size: int, axis: int, scratch: Array) -> Array:
    """Where the elements lie in a row-major tensor that has `size` elements along the axis."""
    need_inside(index, size)
    outer, inner = prod(index.shape[:axis]), prod(index.shape[axis + 1 :])
    positions = scratch[: index.size * INDEX_BYTES].view(np.int64)
    cut = positions.reshape(outer, index.shape[axis], inner)
    cut.fill(size)
    cut[:1] = 0
    np.add.accumulate(cut, axis=0, out=cut)
    np.add(cut, index.reshape(cut.shape), out=cut)
    np.multiply(cut, inner, out=cut)
    for start in range(0, inner, BLOCK_ELEMENTS):
        stop = min(start + BLOCK_ELEMENTS, inner)
        cut[..., start:stop] += np.arange(start, stop)
    return positions


def _gather(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    (x, index), axis = ins, attrs["axis"]
    if index.size:
        positions = _positions(index, x.shape[axis], axis, scratch)
        np.take(x.reshape(-1), positions, out=outs[0].reshape(-1), mode="clip")


def _scatter(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    (index, updates), axis = ins, attrs["axis"]
    outs[0].fill(0)
    if index.size:
        positions = _positions(index, attrs["size"], axis, scratch)
        np.add.at(outs[0].reshape(-1), positions, updates.reshape(-1))


def _gather_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return prod(types[1].sizes) * INDEX_BYTES


def _scatter_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return prod(types[0].sizes) * INDEX_BYTES


def _gather_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any | None, ...]:
    (x, index), axis = forward.operands, forward.attrs["axis"]
    return emit("scatter_add_along", index, g, axis=axis, size=x.type.shape[axis]), None


def _scatter_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any | None, ...]:
    return None, emit("gather_along", g, forward.operands[0], axis=forward.attrs["axis"])


_INDEX = ((3, 0, 3), (1, 1, 2))

GATHER_ALONG = Op(
    "gather_along",
    "Elements along an axis: for axis 1, `result[i, j] = x[i, index[i, j]]`. The index has the "
    "shape of `x`, but may have any size along the axis. An index outside of `x` is an error.",
    operands=("x", "index"),
    infer=_gather_infer,
    kernel=_gather,
    gradient=single(_gather_rule),
    attrs=(AXIS,),
    cost=moves_only,
    scratch_bytes=_gather_scratch,
    samples=(
        Sample(("f32[2, 4]", "i32[2, 3]"), {"axis": 1}, values={1: _INDEX}),
        Sample(("f32[4, 3]", "i64[2, 3]"), {"axis": 0}, values={1: _INDEX}),
        Sample(("f32[2, 4, 2]", "i32[2, 5, 2]"), {"axis": 1}, low=0, high=3),
        Sample(("i32[4]", "u8[6]"), {"axis": 0}, low=0, high=3),
        Sample(("f32[0, 4]", "i32[0, 9]"), {"axis": 1}),
        Sample(("f32[4, 300]", "i32[900, 300]"), {"axis": 0}, low=0, high=3),
    ),
)
SCATTER_ADD_ALONG = Op(
    "scatter_add_along",
    "Adds up elements by index along an axis, over zeros: for axis 1, `result[i, k] = sum of "
    "updates[i, j] where index[i, j] == k`; the gradient of `gather_along`. An index outside of "
    "the axis is an error.",
    operands=("index", "updates"),
    infer=_scatter_infer,
    kernel=_scatter,
    gradient=single(_scatter_rule),
    attrs=(AXIS, Attr("size", "the size of the result along the axis")),
    cost=per_operand_element,
    scratch_bytes=_scatter_scratch,
    samples=(
        Sample(("i32[2, 3]", "f32[2, 3]"), {"axis": 1, "size": 4}, values={0: _INDEX}),
        Sample(("i64[2, 3]", "f32[2, 3]"), {"axis": 0, "size": 5}, values={0: _INDEX}),
        Sample(("i32[2, 5, 2]", "f32[2, 5, 2]"), {"axis": 1, "size": 4}, low=0, high=3),
        Sample(("u8[6]", "i32[6]"), {"axis": 0, "size": 4}, low=0, high=3),
        Sample(("i32[0, 9]", "f32[0, 9]"), {"axis": 1, "size": 2}),
        Sample(("i32[900, 300]", "f32[900, 300]"), {"axis": 0, "size": 4}, low=0, high=3),
    ),
)

OPS = (GATHER_ALONG, SCATTER_ADD_ALONG)
