"""How a fused kernel walks its iteration shape: axes merged, cache-sized blocks, temporaries.

The planner uses it to declare the scratch that the NumPy device needs, and the device to lay its
blocks out; a backend that keeps temporaries in registers needs neither.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod

from flowc_runtime.expression import (
    ROW_OPS,
    Expression,
    Line,
    in_place,
    line_attrs,
    literal_dtype,
    parse_expression,
)
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Attrs, Types
from flowc_runtime.plan import ALIGNMENT_BYTES
from flowc_runtime.types import TensorType

# A block's temporaries should stay in the caches, and a block be long enough that the cost of
# entering NumPy (up to a microsecond a line) does not count. Measured on Adam over 100,000 to
# 1,000,000 elements: shorter blocks are up to twice as slow, longer ones gain nothing.
BLOCK_ELEMENTS = 131072

Dims = tuple[int, ...]


@dataclass(frozen=True)
class Blocking:
    """`shape` is the iteration shape with axes merged, `block` the part that is done at a time.

    `dims` says how each name lies in the merged axes (1 where it is broadcast), `values` how a
    line's value does, which a result's tensor may be wider than; `types` are the names' types.
    Temporaries lie in the scratch at `slots`; what the catalog's kernels need is behind them.
    """

    shape: Dims
    block: Dims
    dims: Mapping[str, Dims]
    values: Mapping[str, Dims]
    types: Mapping[str, TensorType]
    slots: Mapping[str, int]
    kernel_scratch: int
    scratch_bytes: int

    def blocks(self) -> Iterator[tuple[slice, ...]]:
        """The parts of the iteration space, one after the other; one if it has no elements."""
        if 0 in self.shape:
            return iter([tuple(slice(0, n) for n in self.shape)])
        sides = (
            [slice(at, min(at + step, n)) for at in range(0, n, step)]
            for n, step in zip(self.shape, self.block, strict=True)
        )
        return product(*sides)


def blocking(
    expression: Expression, operands: Types, results: Types, shape: Sequence[int]
) -> Blocking:
    """The walk of an expression kernel over its bound iteration shape."""
    types = expression.types(operands, tuple(shape))
    stored = {**types, **{f"o{k}": t for k, t in enumerate(results)}}
    rows = any(line.op in ROW_OPS for line in expression.lines)
    groups = _groups([*types.values(), *stored.values()], tuple(shape), rows)
    merged = tuple(prod(_padded(shape, 1)[a] for a in group) for group in groups)
    block = _block(merged, rows)
    rank = max(1, len(shape))
    dims = {name: _merge(t, rank, groups) for name, t in stored.items()}
    values = {name: _merge(t, rank, groups) for name, t in types.items()}
    in_block = {
        name: TensorType(t.dtype, _clip(values[name], merged, block)) for name, t in types.items()
    }
    slots, end = _slots(expression, in_block)
    needs = max(kernel_scratch_bytes(line, in_block) for line in expression.lines)
    return Blocking(merged, block, dims, values, types, slots, end, end + needs)


def fused_scratch_bytes(
    lines: Sequence[str], operands: Types, results: Types, shape: Sequence[int]
) -> int:
    """Bytes of scratch that the NumPy device needs for an expression kernel; BadExpression."""
    return _scratch_bytes(tuple(lines), operands, results, tuple(shape), BLOCK_ELEMENTS)


@lru_cache(maxsize=1024)
def _scratch_bytes(
    lines: tuple[str, ...], operands: Types, results: Types, shape: tuple[int, ...], block: int
) -> int:
    return blocking(parse_expression(lines), operands, results, shape).scratch_bytes


def kernel_scratch_bytes(line: Line, types: Mapping[str, TensorType]) -> int:
    """What a line needs besides the temporaries, given the types of names within a block."""
    operands = tuple(
        types[a] if isinstance(a, str) else TensorType(literal_dtype(line, types))
        for a in line.args
    )
    result = types[line.name]
    if line.op == "where":
        return where_scratch_bytes(prod(result.sizes), result.storage.itemsize)
    op = CATALOG[ROW_OPS.get(line.op, line.op)]
    attrs = row_attrs(operands[0]) if line.op in ROW_OPS else line_attrs(line)
    return op.scratch_bytes(operands, (result,), attrs)


def where_scratch_bytes(elements: int, item_bytes: int) -> int:
    """Room for a condition as a mask of whole items, and for the bits that differ."""
    return 2 * elements * item_bytes


def row_attrs(operand: TensorType) -> Attrs:
    """A row op as a reduction of the catalog."""
    return {"axes": (operand.rank - 1,), "keep": True}


def _padded(sizes: Sequence[int], rank: int) -> Dims:
    return (1,) * (rank - len(sizes)) + tuple(sizes)


def _groups(types: Sequence[TensorType], shape: Dims, rows: bool) -> list[list[int]]:
    """Neighbouring axes that every tensor has in full or not at all; a row stays alone.

    Axes of size 1 are left out, as long as another is there.
    """
    shape = _padded(shape, 1)
    tensors = [_padded(t.sizes, len(shape)) for t in types]
    last = len(shape) - 1
    groups: list[list[int]] = []
    before: list[bool] | None = None
    for axis, size in enumerate(shape):
        whole = [t[axis] == size for t in tensors]
        if size == 1 and not (axis == last and (rows or not groups)):
            continue
        if whole == before and not (rows and axis == last):
            groups[-1].append(axis)
        else:
            groups.append([axis])
        before = whole
    return groups


def _merge(type: TensorType, rank: int, groups: list[list[int]]) -> Dims:
    """A tensor's dimensions in the merged axes."""
    sizes = _padded(type.sizes, rank)
    return tuple(prod(sizes[a] for a in group) for group in groups)


def _block(shape: Dims, rows: bool) -> Dims:
    """As many whole inner axes as fit, then an even part of the next, then single indices."""
    left = BLOCK_ELEMENTS
    block: list[int] = []
    for axis, size in reversed(list(enumerate(shape))):
        take = size if rows and axis == len(shape) - 1 else min(size, left)
        parts = -(-size // take) if take else 1
        block.insert(0, _even(size, parts))
        left = max(1, left // max(1, take))
    return tuple(block)


def _even(size: int, parts: int) -> int:
    """The size of nearly equal parts; a multiple of a cache line's f32 if there are several."""
    even = max(1, -(-size // parts))
    return even if parts == 1 or even < 256 else -(-even // 16) * 16


def _clip(dims: Dims, shape: Dims, block: Dims) -> Dims:
    """The part of a tensor that belongs to a block."""
    return tuple(b if d == n else d for d, n, b in zip(dims, shape, block, strict=True))


def _slots(
    expression: Expression, types: Mapping[str, TensorType]
) -> tuple[dict[str, int], int]:
    """Scratch offsets of the temporaries; one that is read no more gives its slot away."""
    last = {name: k for k, line in enumerate(expression.lines) for name in line.reads}
    sizes: list[int] = []
    free: list[int] = []
    slot_of: dict[str, int] = {}
    for k, line in enumerate(expression.lines):
        dying = [n for n in dict.fromkeys(line.reads) if n[0] == "t" and last[n] == k]
        at_once = [n for n in dying if _may_follow(line, n, types)]
        free += [slot_of[n] for n in at_once]
        if line.name[0] == "t":
            slot = free.pop() if free else len(sizes)
            if slot == len(sizes):
                sizes.append(0)
            sizes[slot] = max(sizes[slot], types[line.name].bytes)
            slot_of[line.name] = slot
            if line.name not in last:
                free.append(slot)
        free += [slot_of[n] for n in dying if n not in at_once]
    starts = [0]
    for size in sizes:
        starts.append(starts[-1] + -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES)
    return {name: starts[slot] for name, slot in slot_of.items()}, starts[-1]


def _may_follow(line: Line, name: str, types: Mapping[str, TensorType]) -> bool:
    """Whether the line's value may lie where its dying argument does."""
    places = [k for k, arg in enumerate(line.args) if arg == name]
    return types[name] == types[line.name] and all(k in in_place(line.op) for k in places)
