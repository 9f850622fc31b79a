"""Machine code of instructions that only move data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.moves import moved_by
from flowc_runtime.native.lanes import I64, Value, place_of, stretches
from flowc_runtime.native.moves import Copying
from flowc_runtime.native.ranges import Range
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.unit import Unit, Writer, given
from flowc_runtime.plan import Buffer, Instruction

CLEARED_BYTES, CLEARED_A_NANOSECOND = 1 << 14, 16  # bytes in one piece, and how fast


@dataclass(frozen=True, slots=True)
class MoveTask(Writer):
    """All that the code of an instruction depends on: moves by the numbers of their operands, and
    how many bytes of the result are cleared before."""

    moves: tuple[tuple[int, Copying], ...]
    result: int  # the number of its place
    cleared: int

    @property
    def pieces(self) -> int:
        return sum(move.pieces for _, move in self.moves)

    @property
    def nanoseconds(self) -> float:
        return sum(move.nanoseconds for _, move in self.moves)

    @property
    def before(self) -> ClearTask | None:
        return ClearTask(self.result, self.cleared) if self.cleared else None

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Of the operands, then the result."""
        tiles = Tiles(b, unit.lanes)
        target = tiles.place(self.result)
        done = 0
        for operand, move in self.moves:
            own = pieces.part(done, move.pieces)
            move.emit(own, unit.lanes, tiles.place(operand), target)
            done += move.pieces


@dataclass(frozen=True, slots=True)
class ClearTask(Writer):
    """Zeros in all bytes of a place."""

    place: int
    bytes: int

    @property
    def pieces(self) -> int:
        return -(-self.bytes // CLEARED_BYTES)

    @property
    def nanoseconds(self) -> float:
        return self.bytes / CLEARED_A_NANOSECOND

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        target = given(b, self.place)
        whole, rest = divmod(self.bytes, CLEARED_BYTES)
        for start, count, bytes in ((0, whole, CLEARED_BYTES), (whole, 1, rest)):
            with pieces.part(start, count).each() as k:
                at = b.mul(b.add(k, I64(start)), I64(CLEARED_BYTES))
                _clear(b, unit.lanes, place_of(b, target, "u8", at), bytes)


def _clear(b: ir.IRBuilder, lanes: int, target: Value, bytes: int) -> None:
    for wide, index in stretches(b, 4 * lanes, bytes):
        wide.store(wide.number("u8", 0), place_of(b, target, "u8", index), "u8")


def move_task(instruction: Instruction, buffers: Sequence[Buffer]) -> MoveTask | None:
    """None where NumPy has to do it."""
    moved = moved_by(instruction, buffers)
    if moved is None:
        return None
    parts = tuple((k, part) for k, move in moved.moves for part in Copying(move).parts())
    return MoveTask(parts, len(instruction.operands), moved.cleared)
