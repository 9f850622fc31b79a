"""Machine code of what only moves data: copies between tensors seen with any strides.

Which element goes where is asked of NumPy: an op's own view of an array that has no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import EllipsisType

import numpy as np
from llvmlite import ir
from numpy.lib.stride_tricks import as_strided

from flowc_runtime.native.lanes import I64, Lanes, Value, loop, place_of, stretches
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.turning import turn
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.ops.op import Array, Attrs
from flowc_runtime.plan import Buffer, Instruction

ELEMENTS = {1: "u8", 4: "f32", 8: "i64"}  # as what elements of so many bytes are moved
Sizes = tuple[int, ...]
Moves = list[tuple[int, Array, Array]]  # the number of an operand, what is read of it, and where to


@dataclass(frozen=True, slots=True)
class Move:
    """Copies element by element: `sizes` are how many along each axis, the outermost first;
    strides and starts count elements. `element` is one of ELEMENTS."""

    element: str
    sizes: Sizes
    sources: Sizes  # strides
    targets: Sizes
    source: int = 0  # where the first element is
    target: int = 0

    def emit(self, b: ir.IRBuilder, lanes: int, source: Value, target: Value) -> None:
        """From tensors that begin at two places."""
        _Mover(b, lanes, self).run(
            place_of(b, source, self.element, I64(self.source)),
            place_of(b, target, self.element, I64(self.target)))


def move_of(source: Array, target: Array, element: str) -> Move:
    """Both are views of `unreal` arrays, of the same shape."""
    if not source.size:
        return Move(element, (0,), (1,), (1,))
    axes = [
        (n, s, t)
        for n, s, t in zip(source.shape, source.strides, target.strides, strict=True) if n > 1
    ]
    merged: list[tuple[int, int, int]] = []
    for n, s, t in axes:
        if merged:
            count, source_step, target_step = merged[-1]
            if (source_step, target_step) == (s * n, t * n):
                merged[-1] = (count * n, s, t)
                continue
        merged.append((n, s, t))
    merged.sort(key=lambda axis: -axis[2])  # what is written goes forwards
    sizes, sources, targets = (tuple(axis[k] for axis in merged) for k in range(3))
    return Move(element, sizes, sources, targets, _start(source), _start(target))


def unreal(sizes: Sequence[int]) -> Array:
    """An array of one byte an element, as it lies in memory, but without any."""
    strides = [int(np.prod(sizes[k + 1 :], dtype=np.int64)) for k in range(len(sizes))]
    return as_strided(_ONE, tuple(sizes), strides)


_ONE = np.zeros(1, np.uint8)


def _start(view: Array) -> int:
    assert isinstance(view, np.ndarray), "an index without `...` may give a number and no view"
    return int(view.__array_interface__["data"][0] - _ONE.ctypes.data)


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
    """All that the code of an instruction depends on: moves by the numbers of their operands, and
    how many bytes of the result are cleared before."""

    moves: tuple[tuple[int, Move], ...]
    result: int  # the number of its place
    cleared: int

    def write(self, unit: Unit, b: ir.IRBuilder) -> None:
        """Of the operands, then the result."""
        tiles = Tiles(b, unit.lanes)
        target = tiles.place(self.result)
        if self.cleared:
            _clear(b, unit.lanes, target, self.cleared)
        for operand, move in self.moves:
            move.emit(b, unit.lanes, tiles.place(operand), target)


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
        tuple((k, move_of(a, b, ELEMENTS[size])) for k, a, b in found if a.size),
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
