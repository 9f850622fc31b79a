"""Machine code of what only moves data."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.moves import Move, Moved, moved_by
from flowc_runtime.native.lanes import I64, Lanes, Value, loop, place_of, stretches
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.turning import turn
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.plan import Buffer, Instruction


def emit_move(b: ir.IRBuilder, lanes: int, move: Move, source: Value, target: Value) -> None:
    """From tensors that begin at two places."""
    _Mover(b, lanes, move).run(
        place_of(b, source, move.element, I64(move.source)),
        place_of(b, target, move.element, I64(move.target)))


class _Mover(Tiles):
    def __init__(self, b: ir.IRBuilder, lanes: int, move: Move):
        super().__init__(b, lanes)
        self.move = move

    def run(self, source: Value, target: Value) -> None:
        move = self.move
        axes = list(zip(move.sizes, move.sources, move.targets, strict=True))
        inner = self._inner(axes)
        with ExitStack() as loops:
            for axis in axes:
                if axis not in inner:
                    size, from_step, to_step = axis
                    index = loops.enter_context(loop(self.b, 0, size))
                    source = self._further(source, index, from_step)
                    target = self._further(target, index, to_step)
            if len(inner) == 2:
                (rows, far, _), (columns, _, apart) = inner
                turn(self, source, target, rows, columns, far, apart)
            else:
                self._line(source, target, *(inner[0] if inner else (1, 1, 1)))

    def _inner(self, axes: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        """The axis that is written element by element; and, where another one is read so and both
        are long, that one: rows that become columns."""
        if not axes:
            return []
        written = axes[-1]
        if self.move.element == "f32" and written[1] != 1 and written[2] == 1:
            for other in axes[:-1]:
                if other[1] == 1 and min(other[0], written[0]) >= self.lanes:
                    return [written, other]
        return [written]

    def _line(self, source: Value, target: Value, size: int, from_step: int, to_step: int) -> None:
        wide = from_step in (0, 1) and to_step == 1
        for lanes, index in stretches(self.b, self.lanes if wide else 1, size):
            read = Lanes(self.b, lanes.count if from_step else 1)
            value = read.load(self._further(source, index, from_step), self.move.element)
            value = value if from_step else lanes.splat(value)
            lanes.store(value, self._further(target, index, to_step), self.move.element)

    def _further(self, place: Value, index: Value, step: int) -> Value:
        return place_of(
            self.b, place, self.move.element, self.b.mul(index, I64(step))) if step else place


# --- which instructions --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MoveTask(Writer):
    """All that the code of an instruction depends on."""

    moved: Moved
    result: int  # the number of its place

    def write(self, unit: Unit, b: ir.IRBuilder) -> None:
        """Of the operands, then the result."""
        tiles = Tiles(b, unit.lanes)
        target = tiles.place(self.result)
        if self.moved.cleared:
            _clear(b, unit.lanes, target, self.moved.cleared)
        for operand, move in self.moved.moves:
            emit_move(b, unit.lanes, move, tiles.place(operand), target)


def _clear(b: ir.IRBuilder, lanes: int, target: Value, bytes: int) -> None:
    for wide, index in stretches(b, 4 * lanes, bytes):
        wide.store(wide.number("u8", 0), place_of(b, target, "u8", index), "u8")


def move_task(instruction: Instruction, buffers: Sequence[Buffer]) -> MoveTask | None:
    """None where NumPy has to do it."""
    moved = moved_by(instruction, buffers)
    return None if moved is None else MoveTask(moved, len(instruction.operands))
