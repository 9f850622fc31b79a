"""Rows of a table that are few among many: their gradients, and new values for them alone.

A pass of the compiler makes these of a `scatter_add` whose result an optimizer would look through
from the first row to the last, only to leave most of them as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from flowc_runtime.ops.blocks import BLOCK_ELEMENTS
from flowc_runtime.ops.cost import per_operand_element
from flowc_runtime.ops.indexing import INDEX_BYTES, add_rows, as_i64, need_inside
from flowc_runtime.ops.op import Array, Attrs, Cost, Op, Reject, Sample, Types
from flowc_runtime.ops.rules import INTS, NUMBERS, need_dtype, need_rank, same_dtype, shape_text
from flowc_runtime.ops.scratch import Part, carve, scratch_size

I64: np.dtype = np.dtype(np.int64)


def _totals_infer(types: Types, attrs: Attrs) -> Types:
    index, updates = types
    need_dtype((index,), INTS)
    need_dtype((updates,), NUMBERS, first=1)
    if updates.shape[: index.rank] != index.shape:
        raise Reject(f"needs the leading axes {shape_text(index.shape)}, but is {updates}", 1, 0)
    return (updates,)


def _totals(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    """Adds each row to the first one of its index, in order; then the others take it from there."""
    index, updates = ins
    if not updates.size:
        return
    rows = updates.reshape(index.size, -1)
    totals = outs[0].reshape(rows.shape)
    *words, lanes, block = carve(scratch, _totals_parts(rows.shape, rows.dtype))
    first = _first_of_each(index.reshape(-1), *words)
    totals.fill(0)
    add_rows(totals, first, rows, lanes)
    for start in range(0, len(rows), len(block)):
        chosen = first[start : start + len(block)]
        np.take(totals, chosen, axis=0, out=block[: len(chosen)], mode="clip")
        np.copyto(totals[start : start + len(block)], block[: len(chosen)])


def _first_of_each(index: Array, words: Array, keys: Array, first: Array, starts: Array) -> Array:
    """For each position the first one with the same index; all four others are scratch."""
    count = index.size
    np.copyto(words, index)
    np.multiply(words, count, out=words)
    _count_up(words, np.add)
    words.sort()  # by index, and by position where that is equal
    np.divmod(words, count, out=(keys, words))
    starts[:1] = 0
    np.not_equal(keys[1:], keys[:-1], out=starts[1:])
    _count_up(starts, np.multiply)
    np.maximum.accumulate(starts, out=starts)  # where the run of equal indices begins
    np.take(words, starts, out=keys, mode="clip")
    first[words] = keys
    return first


def _count_up(values: Array, ufunc: np.ufunc) -> None:
    """Adds to (or multiplies) each element its position, in place."""
    for start in range(0, values.size, BLOCK_ELEMENTS):
        part = values[start : start + BLOCK_ELEMENTS]
        ufunc(part, np.arange(start, start + part.size), out=part)


def _totals_parts(rows: tuple[int, ...], dtype: np.dtype) -> tuple[Part, ...]:
    count, columns = rows
    together = min(count, max(1, BLOCK_ELEMENTS // columns))
    words = (Part((count,), I64),) * 4
    return (*words, Part((together * columns,), I64), Part((together, columns), dtype))


def _totals_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    index, updates = types
    count, elements = prod(index.sizes), prod(updates.sizes)
    return scratch_size(_totals_parts((count, elements // count), updates.storage)) if (
        elements) else 0


def _put_infer(types: Types, attrs: Attrs) -> Types:
    table, index, rows = types
    need_rank(table, 1, 0)
    need_dtype((index,), INTS, first=1)
    same_dtype((table, rows))
    if rows.shape != index.shape + table.shape[1:]:
        wanted = shape_text(index.shape + table.shape[1:])
        raise Reject(f"needs the shape {wanted} to match {table}, but is {rows}", 2, 0)
    return (table,)


def _put(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    out, (table, index, rows) = outs[0], ins
    need_inside(index, table.shape[0])
    if out.ctypes.data != table.ctypes.data:
        np.copyto(out, table)
    if rows.size:
        out[as_i64(index, scratch)] = rows


def _put_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return prod(types[1].sizes) * INDEX_BYTES


def _put_cost(types: Types, results: Types, attrs: Attrs) -> Cost:
    """The table is counted as if it stayed where it is, for which the op is made."""
    return Cost(0, types[1].bytes + 2 * types[2].bytes)


_INDEX = ((0, 3, 3, 1, 0), (2, 2, 0, 1, 3))

ROW_TOTALS = Op(
    "row_totals",
    "For each row the sum of all rows that have the same index, in their order: what "
    "`gather(scatter_add(index, updates), index)` is, without the table between.",
    operands=("index", "updates"),
    infer=_totals_infer,
    kernel=_totals,
    cost=per_operand_element,
    scratch_bytes=_totals_scratch,
    samples=(
        Sample(("i32[2, 5]", "f32[2, 5, 3]"), values={0: _INDEX}),
        Sample(("i64[]", "f32[2]"), values={0: 2}),
        Sample(("u8[4]", "i32[4]"), values={0: (2, 0, 2, 2)}),
        Sample(("i32[0]", "f32[0, 3]"), values={0: ()}),
        Sample(("i32[900]", "f32[900, 300]"), low=0, high=40),
    ),
)
PUT_ROWS = Op(
    "put_rows",
    "The table with other rows at some indices: `result[index[i]] = rows[i]`. Where an index "
    "occurs twice, so must its row. An index outside of the table is an error.",
    operands=("table", "index", "rows"),
    infer=_put_infer,
    kernel=_put,
    in_place=(0,),
    cost=_put_cost,
    scratch_bytes=_put_scratch,
    samples=(
        Sample(("f32[4, 3]", "i32[2]", "f32[2, 3]"), values={1: (3, 1)}),
        Sample(("f32[6]", "i64[]", "f32[]"), values={1: 5}),
        Sample(("i32[4, 2, 3]", "u8[3]", "i32[3, 2, 3]"), low=0, high=9, values={1: (3, 0, 1)}),
        Sample(("f32[4, 3]", "i32[0]", "f32[0, 3]"), values={1: ()}),
        Sample(("f32[900, 300]", "i32[1]", "f32[1, 300]"), values={1: 899}),
    ),
)

OPS = (ROW_TOTALS, PUT_ROWS)
