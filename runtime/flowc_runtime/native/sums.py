"""Machine code of sums over the first axes in f32: of biases, and of norms over a batch.

Rows are added in blocks, and the blocks' sums to what the result holds, so that the error grows
with the length of a block and the number of blocks, and not with all rows. Where there are few
columns to be shared by threads, blocks are, and their sums are added afterwards, in order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Lanes, Value, loop
from flowc_runtime.native.parts import Part
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.tiles import FLOAT_BYTES, Tiles
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.plan import Buffer, Instruction

BLOCK_BYTES = 1 << 16  # read in order, column by column, before the next rows come
MOST_ROWS, FEWEST_ROWS = 256, 8  # of a block
MANY_COLUMNS = 1024
NANOSECONDS = 0.1  # of a number, about


@dataclass(frozen=True, slots=True)
class SumTask(Writer):
    """All that the code of a sum depends on: of [rows, columns] over the rows."""

    rows: int
    columns: int

    @property
    def size(self) -> int:
        """Rows of a block; the rows that fill none come before all blocks."""
        size = BLOCK_BYTES // (FLOAT_BYTES * self.columns)
        return max(FEWEST_ROWS, min(MOST_ROWS, size))

    @property
    def blocks(self) -> int:
        return self.rows // self.size

    @property
    def before(self) -> BlocksTask | None:
        few = self.columns < MANY_COLUMNS and self.blocks > 1
        return BlocksTask(self) if few else None

    @property
    def shared_bytes(self) -> tuple[int, ...]:
        """The sum of each block."""
        return () if self.before is None else (FLOAT_BYTES * self.blocks * self.columns,)

    @property
    def pieces(self) -> int:
        return self.columns

    @property
    def nanoseconds(self) -> float:
        return NANOSECONDS * self.columns * (self.rows if self.before is None else self.blocks)

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Of the operand, the result, and what is shared."""
        sums = _Sums(b, unit.lanes)
        if self.before is not None:
            with loop(b, 0, self.blocks) as k:
                one = sums.at(sums.place(2), (k, self.columns))
                sums.block(one, sums.place(1), 1, pieces, self.columns, keep=True)
            return
        sums.rest(self, pieces)
        with loop(b, 0, self.blocks) as k:
            rows = sums.begin(self, k)
            sums.block(rows, sums.place(1), self.size, pieces, self.columns, keep=True)


@dataclass(frozen=True, slots=True)
class BlocksTask(Writer):
    """The rows that fill no block are summed into the result, and each block for itself."""

    sum: SumTask

    @property
    def pieces(self) -> int:
        return 1 + self.sum.blocks

    @property
    def nanoseconds(self) -> float:
        return NANOSECONDS * self.sum.rows * self.sum.columns

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        sums, columns = _Sums(b, unit.lanes), self.sum.columns
        every = whole(b, columns)
        with pieces.part(0, 1).each():
            sums.rest(self.sum, every)
        with pieces.part(1, self.sum.blocks).each() as k:
            target = sums.at(sums.place(2), (k, columns))
            sums.block(sums.begin(self.sum, k), target, self.sum.size, every, columns, keep=False)


def sum_task(instruction: Instruction, buffers: Sequence[Buffer]) -> SumTask | None:
    """None for other dtypes, for axes that are not the first ones, and where none is left."""
    x, result = buffers[instruction.operands[0]], buffers[instruction.results[0]]
    axes = tuple(sorted(instruction.attrs["axes"]))
    columns = prod(x.type.sizes[len(axes) :])
    if axes != tuple(range(len(axes))) or x.type.dtype != "f32" or result.meets(x):
        return None
    if columns < 2 or not x.type.bytes:
        return None
    return SumTask(prod(x.type.sizes[: len(axes)]), columns)


class _Sums(Tiles):
    def rest(self, task: SumTask, columns: Range) -> None:
        rows = task.rows % task.size
        self.block(self.place(0), self.place(1), rows, columns, task.columns, keep=False)

    def begin(self, task: SumTask, number: Value) -> Value:
        """Where a block does."""
        before = (I64(task.rows % task.size), task.columns)
        return self.at(self.place(0), before, (number, task.size * task.columns))

    def block(
        self, x: Value, total: Value, rows: int, some: Range, columns: int, keep: bool
    ) -> None:
        """The sums of some columns over some rows go to the total, or are added with `keep`."""
        for first, parts in self.blocks(some, columns):
            self._add(self.at(x, (first, 1)), self.at(total, (first, 1)), parts, rows, columns,
                      keep)

    def _add(
        self, source: Value, target: Value, parts: Sequence[Part], rows: int, columns: int,
        keep: bool,
    ) -> None:
        registers = []
        for part in parts:
            lanes = Lanes(self.b, part.lanes)
            with self.b.goto_entry_block():
                registers.append((lanes, self.b.alloca(lanes.type("f32")), part.offset))
        for lanes, register, _ in registers:
            self.b.store(lanes.number("f32", 0), register)
        with loop(self.b, 0, rows) as row:
            here = self.at(source, (row, columns))
            for lanes, register, offset in registers:
                before = self.b.load(register, typ=lanes.type("f32"))
                number = lanes.load(self.near(here, offset), "f32")
                self.b.store(self.b.fadd(before, number), register)
        for lanes, register, offset in registers:
            value, place = self.b.load(register, typ=lanes.type("f32")), self.near(target, offset)
            if keep:
                value = self.b.fadd(lanes.load(place, "f32"), value)
            lanes.store(value, place, "f32")
