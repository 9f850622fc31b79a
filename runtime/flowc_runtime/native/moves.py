"""Machine code of copies between tensors seen with any strides: see `flowc_runtime/moves.py`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

from llvmlite import ir

from flowc_runtime.moves import Move
from flowc_runtime.native.lanes import I64, Lanes, Value, place_of, stretches
from flowc_runtime.native.ranges import ENOUGH_PIECES, Range, pieces_of
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.turning import turn

CUT, CUT_ROWS = 2048, 64  # elements of a line that are a piece, and rows of what is turned
FEWEST_TURNED = 8  # rows and columns that are exchanged in squares
NANOSECONDS = 0.3  # of an element, about


@dataclass(frozen=True, slots=True)
class Copying:
    """A move that is done piece by piece."""

    move: Move

    @property
    def inner(self) -> tuple[int, ...]:
        """The axis that is written element by element; and, where another one is read so and both
        are long, that one: rows that become columns."""
        move = self.move
        if not move.sizes:
            return ()
        *others, written = range(len(move.sizes))
        if move.element == "f32" and move.sources[written] != 1 and move.targets[written] == 1:
            for other in others:
                least = min(move.sizes[other], move.sizes[written])
                if move.sources[other] == 1 and least >= FEWEST_TURNED:
                    return written, other
        return (written,)

    @property
    def outer(self) -> tuple[int, ...]:
        return tuple(k for k in range(len(self.move.sizes)) if k not in self.inner)

    @property
    def pieces(self) -> int:
        return pieces_of([self.move.sizes[k] for k in self.outer])

    @property
    def nanoseconds(self) -> float:
        return NANOSECONDS * prod(self.move.sizes)

    def emit(self, pieces: Range, lanes: int, source: Value, target: Value) -> None:
        """From tensors that begin at two places."""
        b, move = pieces.b, self.move
        _Mover(b, lanes, self).run(
            pieces, place_of(b, source, move.element, I64(move.source)),
            place_of(b, target, move.element, I64(move.target)))

    def parts(self) -> tuple[Copying, ...]:
        """The same as moves of enough pieces: of a long axis so many elements, and the rest."""
        move = self.move
        if self.pieces >= ENOUGH_PIECES or not self.inner:
            return (self,)
        axis, length = self.inner[-1], CUT if len(self.inner) == 1 else CUT_ROWS
        many, rest = divmod(move.sizes[axis], length)
        if not many or move.sizes[axis] == length:
            return (self,)
        one = _resized(move, axis, length)
        from_step, to_step = length * move.sources[axis], length * move.targets[axis]
        cut = replace(
            one, sizes=(many, *one.sizes), sources=(from_step, *one.sources),
            targets=(to_step, *one.targets))
        left = replace(
            _resized(move, axis, rest), source=move.source + many * from_step,
            target=move.target + many * to_step)
        return (Copying(cut), Copying(left)) if rest else (Copying(cut),)


def _resized(move: Move, axis: int, size: int) -> Move:
    return replace(move, sizes=(*move.sizes[:axis], size, *move.sizes[axis + 1 :]))


class _Mover(Tiles):
    def __init__(self, b: ir.IRBuilder, lanes: int, copying: Copying):
        super().__init__(b, lanes)
        self.copying, self.move = copying, copying.move

    def run(self, pieces: Range, source: Value, target: Value) -> None:
        axes = list(zip(self.move.sizes, self.move.sources, self.move.targets, strict=True))
        outer = [axes[k] for k in self.copying.outer]
        inner = [axes[k] for k in self.copying.inner]
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
