"""Indexing with tensors of indices, and the gradients: gather, scatter_add, take and put."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from flowc_runtime.ops.blocks import BLOCK_ELEMENTS
from flowc_runtime.ops.cost import moves_only, per_operand_element
from flowc_runtime.ops.elementwise import single
from flowc_runtime.ops.op import (
    Array,
    Attr,
    Attrs,
    BadValue,
    Emit,
    Forward,
    Op,
    Reject,
    Sample,
    Types,
)
from flowc_runtime.ops.rules import INTS, NUMBERS, need_dtype, need_rank, shape_text
from flowc_runtime.types import TensorType

INDEX_BYTES = 8  # NumPy indexes with i64


def need_inside(index: Array, size: int) -> None:
    """One look at each index: read as unsigned, a negative one is larger than any size."""
    if not index.size or int(index.view(f"u{index.itemsize}").max()) < size:
        return
    for value in (int(index.min()), int(index.max())):
        if not 0 <= value < size:
            raise BadValue(outside(value, size))


def outside(value: int, size: int) -> str:
    """What is wrong with an index."""
    legal = f"0..{size - 1}" if size else "an axis without elements"
    return f"index {value} is outside {legal}"


def as_i64(index: Array, scratch: Array) -> Array:
    if index.dtype == np.int64:
        return index
    wide = scratch[: index.size * INDEX_BYTES].view(np.int64).reshape(index.shape)
    np.copyto(wide, index)
    return wide


def _gather_infer(types: Types, attrs: Attrs) -> Types:
    table, index = types
    need_rank(table, 1, 0)
    need_dtype((index,), INTS, first=1)
    return (TensorType(table.dtype, index.shape + table.shape[1:]),)


def _gather(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    table, index = ins
    need_inside(index, table.shape[0])
    if outs[0].size:
        # The bounds are checked above; "clip" is the mode in which NumPy needs no buffer.
        np.take(table, as_i64(index, scratch), axis=0, out=outs[0], mode="clip")


def _gather_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return prod(types[1].sizes) * INDEX_BYTES


def _gather_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any | None, ...]:
    table, index = forward.operands
    return emit("scatter_add", index, g, rows=table.type.shape[0]), None


def _scatter_infer(types: Types, attrs: Attrs) -> Types:
    index, updates = types
    need_dtype((index,), INTS)
    need_dtype((updates,), NUMBERS, first=1)
    if updates.shape[: index.rank] != index.shape:
        raise Reject(f"needs the leading axes {shape_text(index.shape)}, but is {updates}", 1, 0)
    return (TensorType(updates.dtype, (attrs["rows"], *updates.shape[index.rank :])),)


def _scatter(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    """Adds single elements, block by block: NumPy's `add.at` is fast in one dimension only."""
    out, (index, updates) = outs[0], ins
    need_inside(index, out.shape[0])
    out.fill(0)
    columns = out[:1].size
    if not columns or not index.size:
        return
    flat_index = as_i64(index, scratch).reshape(-1)
    room = scratch[index.size * INDEX_BYTES :].view(np.int64)
    add_rows(out.reshape(-1, columns), flat_index, updates.reshape(index.size, columns), room)


def add_rows(out: Array, index: Array, rows: Array, room: Array) -> None:
    """Adds rows to those of `out` in order; `room` is i64, for a block of positions."""
    columns = out.shape[1]
    lanes, together = np.arange(columns), _rows_at_once(columns)
    for start in range(0, len(index), together):
        chosen = index[start : start + together, None]
        positions = room[: chosen.size * columns].reshape(chosen.size, columns)
        np.add(chosen * columns, lanes, out=positions)
        block = rows[start : start + together].reshape(-1)
        np.add.at(out.reshape(-1), positions.reshape(-1), block)


def _rows_at_once(columns: int) -> int:
    return max(1, BLOCK_ELEMENTS // columns)


def _scatter_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    index = prod(types[0].sizes)
    columns = prod(results[0].sizes[1:])
    rows = min(index, _rows_at_once(columns)) if columns else 0
    return (index + rows * columns) * INDEX_BYTES


def _scatter_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any | None, ...]:
    return None, emit("gather", g, forward.operands[0])


def _take_infer(types: Types, attrs: Attrs) -> Types:
    x, index = types
    need_rank(x, 1, 0)
    need_dtype((index,), INTS, first=1)
    if index.shape != x.shape[:-1]:
        wanted = shape_text(x.shape[:-1])
        raise Reject(f"needs the shape {wanted} to match {x}, but is {index}", 1, 0)
    return (TensorType(x.dtype, index.shape),)


def _flat_positions(index: Array, size: int, scratch: Array) -> Array:
    """The positions, in rows of `size` that follow each other, of one element of each row."""
    positions = scratch[: index.size * INDEX_BYTES].view(np.int64)
    positions.fill(size)
    positions[:1] = 0
    np.add.accumulate(positions, out=positions)
    np.add(positions, index.reshape(-1), out=positions)
    return positions


def _take(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    out, (x, index) = outs[0], ins
    need_inside(index, x.shape[-1])
    if out.size:
        positions = _flat_positions(index, x.shape[-1], scratch)
        np.take(x.reshape(-1), positions, out=out.reshape(-1), mode="clip")


def _take_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return prod(types[1].sizes) * INDEX_BYTES


def _take_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any | None, ...]:
    x, index = forward.operands
    return emit("put_along", index, g, size=x.type.shape[-1]), None


def _put_infer(types: Types, attrs: Attrs) -> Types:
    index, g = types
    need_dtype((index,), INTS)
    if g.shape != index.shape:
        raise Reject(f"needs the shape {shape_text(index.shape)}, but is {g}", 1, 0)
    return (TensorType(g.dtype, (*g.shape, attrs["size"])),)


def _put(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    out, (index, g) = outs[0], ins
    need_inside(index, out.shape[-1])
    out.fill(0)
    if g.size:
        positions = _flat_positions(index, out.shape[-1], scratch)
        out.reshape(-1)[positions] = g.reshape(-1)


def _put_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return prod(types[0].sizes) * INDEX_BYTES


def _put_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any | None, ...]:
    return None, emit("take_along", g, forward.operands[0])


GATHER = Op(
    "gather",
    "Rows of a table: `result[i, ...] = table[index[i], ...]`, for an index of any shape. An index "
    "outside of the table is an error.",
    operands=("table", "index"),
    infer=_gather_infer,
    kernel=_gather,
    gradient=single(_gather_rule),
    cost=moves_only,
    scratch_bytes=_gather_scratch,
    samples=(
        Sample(("f32[4, 3]", "i32[2, 5]"), values={1: ((0, 3, 3, 1, 0), (2, 2, 0, 1, 3))}),
        Sample(("f32[6]", "i64[]"), values={1: 5}),
        Sample(("i32[4, 2, 3]", "u8[3]"), low=0, high=9, values={1: (3, 0, 3)}),
        Sample(("f32[4, 3]", "i32[0]"), values={1: ()}),
        Sample(("f32[4, 300]", "i32[900]"), low=0, high=3),
    ),
)
SCATTER_ADD = Op(
    "scatter_add",
    "Adds up rows by index: `result[r] = sum of updates[i] where index[i] == r`, over a table of "
    "zeros; the gradient of `gather`. An index outside of the table is an error.",
    operands=("index", "updates"),
    infer=_scatter_infer,
    kernel=_scatter,
    gradient=single(_scatter_rule),
    attrs=(Attr("rows", "the number of rows of the result"),),
    cost=per_operand_element,
    scratch_bytes=_scatter_scratch,
    samples=(
        Sample(
            ("i32[2, 5]", "f32[2, 5, 3]"),
            {"rows": 4},
            values={0: ((0, 3, 3, 1, 0), (2, 2, 0, 1, 3))},
        ),
        Sample(("i64[]", "f32[2]"), {"rows": 3}, values={0: 2}),
        Sample(("i32[4]", "f32[4]"), {"rows": 3}, values={0: (2, 0, 2, 2)}),
        Sample(("i32[0]", "f32[0, 3]"), {"rows": 2}, values={0: ()}),
        Sample(("i32[900]", "f32[900, 300]"), {"rows": 3}, low=0, high=2),
    ),
)
TAKE_ALONG = Op(
    "take_along",
    "One element of each row: `result[...] = x[..., index[...]]`. An index outside of the last "
    "axis is an error.",
    operands=("x", "index"),
    infer=_take_infer,
    kernel=_take,
    gradient=single(_take_rule),
    cost=moves_only,
    scratch_bytes=_take_scratch,
    samples=(
        Sample(("f32[3, 4]", "i32[3]"), values={1: (3, 0, 2)}),
        Sample(("f32[2, 3, 5]", "i64[2, 3]"), values={1: ((0, 4, 2), (1, 1, 3))}),
        Sample(("f32[4]", "i32[]"), values={1: 2}),
        Sample(("f32[0, 4]", "i32[0]"), values={1: ()}),
        Sample(("f32[90000, 3]", "i32[90000]"), low=0, high=2),
    ),
)
PUT_ALONG = Op(
    "put_along",
    "Zeros with one element of each row set: `result[..., index[...]] = x[...]`; the gradient of "
    "`take_along`. An index outside of the row is an error.",
    operands=("index", "x"),
    infer=_put_infer,
    kernel=_put,
    gradient=single(_put_rule),
    attrs=(Attr("size", "the length of a row"),),
    cost=moves_only,
    scratch_bytes=_put_scratch,
    samples=(
        Sample(("i32[3]", "f32[3]"), {"size": 4}, values={0: (3, 0, 2)}),
        Sample(("i64[2, 3]", "f32[2, 3]"), {"size": 5}, values={0: ((0, 4, 2), (1, 1, 3))}),
        Sample(("i32[]", "f32[]"), {"size": 3}, values={0: 1}),
        Sample(("i32[0]", "f32[0]"), {"size": 3}, values={0: ()}),
        Sample(("i32[90000]", "f32[90000]"), {"size": 3}, low=0, high=2),
    ),
)

OPS = (GATHER, SCATTER_ADD, TAKE_ALONG, PUT_ALONG)
