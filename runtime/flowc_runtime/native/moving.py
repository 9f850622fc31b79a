"""Which instructions only move data, and from where to where."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import EllipsisType

import numpy as np
from llvmlite import ir

from flowc_runtime.native.lanes import I64, Value, place_of, stretches
from flowc_runtime.native.moves import ELEMENTS, Move, move_of, unreal
from flowc_runtime.native.ranges import Range
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.unit import Unit, Writer, given
from flowc_runtime.ops.op import Array, Attrs
from flowc_runtime.plan import Buffer, Instruction

CLEARED_BYTES, CLEARED_A_NANOSECOND = 1 << 14, 16  # bytes in one piece, and how fast

Moves = list[tuple[int, Array, Array]]  # the number of an operand, what is read of it, and where to


@dataclass(frozen=True, slots=True)
class MoveTask(Writer):
    """All that the code of an instruction depends on: moves by the numbers of their operands, and
    how many bytes of the result are cleared before."""

    moves: tuple[tuple[int, Move], ...]
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
    """None where there is no code: elements of two bytes, nothing to move, bytes that meet."""
    operands = [buffers[k] for k in instruction.operands]
    result = buffers[instruction.results[0]]
    size = result.type.storage.itemsize
    if size not in ELEMENTS or not result.type.bytes or any(result.meets(o) for o in operands):
        return None
    sources = [unreal(o.type.sizes) for o in operands]
    target = unreal(result.type.sizes)
    found = _MOVES[instruction.op](sources, target, instruction.attrs)
    if any(a.shape != b.shape for _, a, b in found):
        return None  # NumPy refuses it
    moved = sum(a.size for _, a, _ in found)
    return MoveTask(
        tuple((k, move) for k, a, b in found if a.size
              for move in move_of(a, b, ELEMENTS[size]).parts()),
        len(operands), 0 if moved == target.size else result.type.bytes)


def _copy(sources: list[Array], target: Array, attrs: Attrs) -> Moves:
    return [(0, sources[0], target)]


def _slice(sources: list[Array], target: Array, attrs: Attrs) -> Moves:
    return [(0, sources[0][_slices(attrs)], target)]


def _unslice(sources: list[Array], target: Array, attrs: Attrs) -> Moves:
    return [(0, sources[0], target[_slices(attrs)])]


def _slices(attrs: Attrs) -> tuple[slice | EllipsisType, ...]:
    bounds = zip(attrs["starts"], attrs["stops"], attrs["steps"], strict=True)
    return (*(slice(a, None if s < 0 and b == -1 else b, s) for a, b, s in bounds), ...)


def _concat(sources: list[Array], target: Array, attrs: Attrs) -> Moves:
    ends = np.cumsum([s.shape[attrs["axis"]] for s in sources])
    parts = np.split(target, ends[:-1], axis=attrs["axis"])
    return list(zip(range(len(sources)), sources, parts, strict=True))


def _transpose(sources: list[Array], target: Array, attrs: Attrs) -> Moves:
    return [(0, sources[0].transpose(attrs["perm"]), target)]


def _broadcast(sources: list[Array], target: Array, attrs: Attrs) -> Moves:
    return [(0, np.broadcast_to(sources[0], target.shape), target)]


_MOVES: Mapping[str, Callable[[list[Array], Array, Attrs], Moves]] = {
    "copy": _copy,
    "slice": _slice,
    "unslice": _unslice,
    "concat": _concat,
    "transpose": _transpose,
    "broadcast": _broadcast,
}
MOVING = tuple(_MOVES)
