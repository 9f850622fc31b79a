"""Machine code of copies between tensors seen with any strides.

Which element goes where is asked of NumPy: an op's own view of an array that has no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from llvmlite import ir
from numpy.lib.stride_tricks import as_strided

from flowc_runtime.native.lanes import I64, Lanes, Value, place_of, stretches
from flowc_runtime.native.ranges import ENOUGH_PIECES, Range, pieces_of
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.turning import turn
from flowc_runtime.ops.op import Array

CUT, CUT_ROWS = 2048, 64  # elements of a line that are a piece, and rows of what is turned
FEWEST_TURNED = 8  # rows and columns that are exchanged in squares
NANOSECONDS = 0.3  # of an element, about
ELEMENTS = {1: "u8", 4: "f32", 8: "i64"}  # as what elements of so many bytes are moved
Sizes = tuple[int, ...]


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

    @property
    def inner(self) -> tuple[int, ...]:
        """The axis that is written element by element; and, where another one is read so and both
        are long, that one: rows that become columns."""
        if not self.sizes:
            return ()
        *others, written = range(len(self.sizes))
        if self.element == "f32" and self.sources[written] != 1 and self.targets[written] == 1:
            for other in others:
                least = min(self.sizes[other], self.sizes[written])
                if self.sources[other] == 1 and least >= FEWEST_TURNED:
                    return written, other
        return (written,)

    @property
    def outer(self) -> tuple[int, ...]:
        return tuple(k for k in range(len(self.sizes)) if k not in self.inner)

    @property
    def pieces(self) -> int:
        return pieces_of([self.sizes[k] for k in self.outer])

    @property
    def nanoseconds(self) -> float:
        return NANOSECONDS * prod(self.sizes)

    def emit(self, pieces: Range, lanes: int, source: Value, target: Value) -> None:
        """From tensors that begin at two places."""
        b = pieces.b
        _Mover(b, lanes, self).run(
            pieces, place_of(b, source, self.element, I64(self.source)),
            place_of(b, target, self.element, I64(self.target)))

    def parts(self) -> tuple[Move, ...]:
        """The same as moves of enough pieces: of a long axis so many elements, and the rest."""
        if self.pieces >= ENOUGH_PIECES or not self.inner:
            return (self,)
        axis, length = self.inner[-1], CUT if len(self.inner) == 1 else CUT_ROWS
        many, rest = divmod(self.sizes[axis], length)
        if not many or self.sizes[axis] == length:
            return (self,)
        one = self._resized(axis, length)
        from_step, to_step = length * self.sources[axis], length * self.targets[axis]
        cut = replace(
            one, sizes=(many, *one.sizes), sources=(from_step, *one.sources),
            targets=(to_step, *one.targets))
        left = replace(
            self._resized(axis, rest), source=self.source + many * from_step,
            target=self.target + many * to_step)
        return (cut, left) if rest else (cut,)

    def _resized(self, axis: int, size: int) -> Move:
        return replace(self, sizes=(*self.sizes[:axis], size, *self.sizes[axis + 1 :]))


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

    def run(self, pieces: Range, source: Value, target: Value) -> None:
        axes = list(zip(self.move.sizes, self.move.sources, self.move.targets, strict=True))
        outer = [axes[k] for k in self.move.outer]
        inner = [axes[k] for k in self.move.inner]
        with pieces.nest([size for size, _, _ in outer]) as at:
            for index, (_, from_step, to_step) in zip(at, outer, strict=True):
                source = self._further(source, index, from_step)
                target = self._further(target, index, to_step)
            if len(inner) == 2:
                (rows, far, _), (columns, _, apart) = inner
                turn(self, source, target, rows, columns, far, apart)
            else:
                self._line(source, target, *(inner[0] if inner else (1, 1, 1)))

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
