"""Machine code of matrix products in f32: the tiles of `tiles.py`, rows times vectors of columns.

What lies transposed on the right is turned first, in squares of one vector by one vector; what is
transposed on the left is read as it lies, since a tile only reads single numbers of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from llvmlite import ir

from flowc_runtime.moves import move_of, unreal
from flowc_runtime.native.lanes import I64, Value, loop
from flowc_runtime.native.moves import Copying
from flowc_runtime.native.moving import MoveTask
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.tiles import FLOAT_BYTES, Factors, Tiles
from flowc_runtime.native.turning import turn
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.plan import Buffer, Instruction

DEPTH = 512  # of the numbers that are summed at a time: a block of 64 columns is 128 kB
FEWEST_COLUMNS = 4  # below, vectors are too short to be worth it
COLUMNS_A_ROW = 8  # a tile is some rows of many more columns
PRODUCTS_A_NANOSECOND = 50


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

    @property
    def turned_once(self) -> bool:
        """Whether one right side, which lies transposed, serves all matrices on the left."""
        return self.right_turned and not any(axis.right for axis in self.batch)

    @property
    def before(self) -> MoveTask | None:
        """The right side, turned into what is shared."""
        if not self.turned_once:
            return None
        stored = unreal((self.columns, self.depth)).T
        move = Copying(move_of(stored, unreal(stored.shape), "f32"))
        return MoveTask(tuple((1, part) for part in move.parts()), 3, 0)

    @property
    def shared_bytes(self) -> tuple[int, ...]:
        return (FLOAT_BYTES * self.depth * self.columns,) if self.turned_once else ()

    @property
    def spilled_bytes(self) -> tuple[int, ...]:
        """The right side of a matrix, where each has its own and it lies transposed."""
        own = self.right_turned and not self.turned_once
        return (FLOAT_BYTES * self.depth * self.columns,) if own else ()

    @property
    def matrices(self) -> int:
        return prod(axis.size for axis in self.batch)

    @property
    def by_columns(self) -> bool:
        """Whether columns are what is done side by side, since there are few rows."""
        return self.matrices * self.rows * COLUMNS_A_ROW < self.columns

    @property
    def pieces(self) -> int:
        return self.columns if self.by_columns else self.matrices * self.rows

    @property
    def nanoseconds(self) -> float:
        products = self.matrices * self.rows * self.depth * self.columns
        return products / PRODUCTS_A_NANOSECOND

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Of left, right, the result, and what is shared or spilled."""
        _Product(b, self, unit.lanes).run(pieces)


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

    def run(self, pieces: Range) -> None:
        task = self.task
        if task.by_columns:
            with loop(self.b, 0, task.matrices) as number:
                self._matrix(number, whole(self.b, task.rows), pieces)
        else:
            with pieces.rows(task.rows) as (number, rows):
                self._matrix(number, rows, whole(self.b, task.columns))

    def _matrix(self, number: Value, rows: Range, columns: Range) -> None:
        """Some rows and columns of one of the products."""
        task = self.task
        factors = Factors(task.rows, task.depth, task.columns, task.left_turned)
        left, right, result = (
            self.at(self.place(k), (offset, 1)) for k, offset in enumerate(self._offsets(number)))
        if task.right_turned:
            turned = self.place(3)
            if not task.turned_once:
                turn(self, right, turned, task.columns, task.depth, task.depth, task.columns)
            right = turned
        for first, parts in self.blocks(columns, task.columns):
            b, out = self.at(right, (first, 1)), self.at(result, (first, 1))
            for start in range(0, task.depth, DEPTH):
                depth = min(DEPTH, task.depth - start)
                self.product(
                    factors, self.near(left, start * factors.along),
                    self.near(b, start * task.columns), out, rows, parts, depth, keep=start > 0)

    def _offsets(self, number: Value) -> tuple[Value, Value, Value]:
        """Where the matrices of a product begin: left, right, result."""
        task, b = self.task, self.b
        sizes = [task.rows * task.depth, task.depth * task.columns]
        offsets = [I64(0), I64(0)]
        further = number
        for axis in reversed(task.batch):
            at, further = b.urem(further, I64(axis.size)), b.udiv(further, I64(axis.size))
            for side, own in enumerate((axis.left, axis.right)):
                if own:
                    offsets[side] = b.add(offsets[side], b.mul(at, I64(sizes[side])))
                    sizes[side] *= axis.size
        return offsets[0], offsets[1], b.mul(number, I64(task.rows * task.columns))
