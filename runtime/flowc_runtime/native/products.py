"""Machine code of matrix products in f32: the tiles of `tiles.py`, rows times vectors of columns.

What lies transposed on the right is turned first, in squares of one vector by one vector; what is
transposed on the left is read as it lies, since a tile only reads single numbers of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Value, loop
from flowc_runtime.native.parts import Part, channel_blocks
from flowc_runtime.native.tiles import FLOAT_BYTES, Tiles, even
from flowc_runtime.native.turning import turn
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.plan import Buffer, Instruction

DEPTH = 512  # of the numbers that are summed at a time: a block of 64 columns is 128 kB
FEWEST_COLUMNS = 4  # below, vectors are too short to be worth it


@dataclass(frozen=True, slots=True)
class Axis:
    """Of a batch of matrices: how many there are, and whether each side has its own."""

    size: int
    left: bool
    right: bool


@dataclass(frozen=True, slots=True)
class ProductTask(Writer):
    """All that the code of a product depends on: [batch, rows, depth] times
    [batch, depth, columns], each side perhaps stored transposed."""

    batch: tuple[Axis, ...]
    rows: int
    depth: int
    columns: int
    left_turned: bool
    right_turned: bool
    prepared: bool = False  # the right side was turned before, by `preparation`

    @property
    def preparation(self) -> TurnTask | None:
        """What can be done once where the right side stays as it is; None where that is nothing.
        """
        if not self.right_turned or any(axis.right for axis in self.batch):
            return None
        return TurnTask(self.depth, self.columns)

    @property
    def spilled_bytes(self) -> tuple[int, ...]:
        """The right side as it is read, where it is stored transposed."""
        return (FLOAT_BYTES * self.depth * self.columns if self.right_turned else 0,)

    def write(self, unit: Unit, b: ir.IRBuilder) -> None:
        """Of left, right, the result, what is spilled."""
        _Product(b, self, unit.lanes).run()


@dataclass(frozen=True, slots=True)
class TurnTask(Writer):
    """The right side of a product, turned into what is spilled; its places are the product's."""

    depth: int
    columns: int

    def write(self, unit: Unit, b: ir.IRBuilder) -> None:
        tiles = Tiles(b, unit.lanes)
        turn(tiles, tiles.place(1), tiles.place(3), self.columns, self.depth, self.depth,
             self.columns)


def product_task(instruction: Instruction, buffers: Sequence[Buffer]) -> ProductTask | None:
    """None where there is no code: other dtypes, nothing to sum, a column or two."""
    a, b = (buffers[k].type for k in instruction.operands)
    result = buffers[instruction.results[0]].type
    *batch, rows, columns = result.sizes
    left_turned, right_turned = (
        bool(instruction.attrs[f"transpose_{side}"]) for side in ("a", "b"))
    depth = a.sizes[-2] if left_turned else a.sizes[-1]
    empty = not prod((*result.sizes, depth))
    if {a.dtype, b.dtype} != {"f32"} or columns < FEWEST_COLUMNS or empty:
        return None
    axes = tuple(
        Axis(size, left == size, right == size)
        for size, left, right in zip(
            batch, _stretched(a.sizes, len(batch)), _stretched(b.sizes, len(batch)), strict=True)
        if size > 1
    )
    if not left_turned and axes and not any(axis.right for axis in axes):
        if all(axis.left for axis in axes):  # one tall matrix
            return ProductTask((), rows * prod(batch), depth, columns, False, right_turned)
    return ProductTask(axes, rows, depth, columns, left_turned, right_turned)


def _stretched(sizes: Sequence[int], count: int) -> tuple[int, ...]:
    batch = tuple(sizes[:-2])
    return (1,) * (count - len(batch)) + batch


class _Product(Tiles):
    def __init__(self, b: ir.IRBuilder, task: ProductTask, lanes: int):
        super().__init__(b, lanes)
        self.task = task

    def run(self) -> None:
        left, right, result, spilled = (self.place(k) for k in range(4))
        task = self.task
        for offsets in self._batch(task.batch, [I64(0)] * 3):
            a, b, out = (
                self.at(base, (offset, 1))
                for base, offset in zip((left, right, result), offsets, strict=True))
            if task.right_turned and task.prepared:
                b = spilled
            elif task.right_turned:
                turn(self, b, spilled, task.columns, task.depth, task.depth, task.columns)
                b = spilled
            self._matrix(a, b, out)

    def _batch(self, axes: Sequence[Axis], offsets: list[Value]) -> Iterator[list[Value]]:
        """Where the matrices of each product begin: left, right, result."""
        if not axes:
            yield offsets
            return
        task, (axis, *inner) = self.task, axes
        sizes = (
            task.rows * task.depth * prod(a.size for a in inner if a.left) * axis.left,
            task.depth * task.columns * prod(a.size for a in inner if a.right) * axis.right,
            task.rows * task.columns * prod(a.size for a in inner),
        )
        with loop(self.b, 0, axis.size) as at:
            yield from self._batch(inner, [
                self.b.add(offset, self.b.mul(at, I64(size)))
                for offset, size in zip(offsets, sizes, strict=True)
            ])

    def _matrix(self, left: Value, right: Value, result: Value) -> None:
        task = self.task
        for block in channel_blocks(task.columns, self.lanes):
            with loop(self.b, 0, block.count) as at:
                columns = [(I64(1), block.start), (at, block.width)]
                b, out = self.at(right, *columns), self.at(result, *columns)
                for start in range(0, task.depth, DEPTH):
                    depth = min(DEPTH, task.depth - start)
                    self._rows(
                        self.near(left, start * self._along), self.near(b, start * task.columns),
                        out, block.parts, depth, keep=start > 0)

    @property
    def _along(self) -> int:
        """From one number of a row on the left to the next."""
        return self.task.rows if self.task.left_turned else 1

    def _rows(
        self, left: Value, right: Value, result: Value, parts: Sequence[Part], depth: int,
        keep: bool,
    ) -> None:
        task = self.task
        step = 1 if task.left_turned else task.depth
        for start, count, length in even(task.rows, self.most(parts)):
            with loop(self.b, 0, count) as tile:
                first = [(I64(1), start), (tile, length)]
                numbers = self.at(left, *((k, s * step) for k, s in first))
                out = self.at(result, *((k, s * task.columns) for k, s in first))
                terms = self._sum(numbers, step, right, depth, length)
                self.tile(out, task.columns, parts, length, terms, keep)

    def _sum(
        self, left: Value, step: int, right: Value, depth: int, rows: int
    ) -> Iterator[tuple[Sequence[Value], Value]]:
        with loop(self.b, 0, depth) as k:
            first = self.at(left, (k, self._along))
            numbers = [self.near(first, row * step) for row in range(rows)]
            yield numbers, self.at(right, (k, self.task.columns))
