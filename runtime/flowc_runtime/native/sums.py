"""Machine code of sums over the first axes in f32: of biases, and of norms over a batch.

Rows are added in blocks, and the blocks' sums to what the result holds, so that the error grows
with the length of a block and the number of blocks, and not with all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Lanes, Value, loop
from flowc_runtime.native.parts import Part, channel_blocks
from flowc_runtime.native.tiles import FLOAT_BYTES, Tiles
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.plan import Buffer, Instruction

BLOCK_BYTES = 1 << 16  # read in order, column by column, before the next rows come
MOST_ROWS, FEWEST_ROWS = 256, 8  # of a block


@dataclass(frozen=True, slots=True)
class SumTask(Writer):
    """All that the code of a sum depends on: of [rows, columns] over the rows."""

    rows: int
    columns: int

    def write(self, unit: Unit, b: ir.IRBuilder) -> None:
        """Of the operand, then the result."""
        _Sum(b, unit.lanes).run(self.rows, self.columns)


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


class _Sum(Tiles):
    def run(self, rows: int, columns: int) -> None:
        x, total = self.place(0), self.place(1)
        size = BLOCK_BYTES // (FLOAT_BYTES * columns)
        size = max(FEWEST_ROWS, min(MOST_ROWS, size))
        blocks, rest = divmod(rows, size)
        self._block(x, total, rest, columns, keep=False)
        with loop(self.b, 0, blocks) as k:
            begin = self.at(x, (I64(rest), columns), (k, size * columns))
            self._block(begin, total, size, columns, keep=True)

    def _block(self, x: Value, total: Value, rows: int, columns: int, keep: bool) -> None:
        for block in channel_blocks(columns, self.lanes):
            with loop(self.b, 0, block.count) as at:
                first = [(I64(1), block.start), (at, block.width)]
                self._add(
                    self.at(x, *first), self.at(total, *first), block.parts, rows, columns, keep)

    def _add(
        self, source: Value, target: Value, parts: Sequence[Part], rows: int, columns: int,
        keep: bool,
    ) -> None:
        """The sum of some rows goes to the target, or is added to it with `keep`."""
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
