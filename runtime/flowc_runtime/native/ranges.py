"""What of a kernel's pieces a thread does: ranges that are known when the code runs.

All code is written for a range of pieces; one piece is always computed alike, whatever range it
comes in. So results do not depend on how pieces are dealt out, and to how many threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from math import prod

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Value, loop

ENOUGH_PIECES = 64  # of nested loops: inner ones stay whole where the outer ones have so many


@dataclass(frozen=True, slots=True)
class Range:
    """The numbers from `first` up to `last`."""

    b: ir.IRBuilder
    first: Value
    last: Value

    def each(self) -> AbstractContextManager[Value]:
        return loop(self.b, self.first, self.last)

    def part(self, start: int, count: int) -> Range:
        """Those among the `count` numbers from `start` on, counted from there."""
        first, last = (
            at_least(self.b, self.b.sub(end, I64(start)), I64(0))
            for end in (self.first, self.last))
        return Range(self.b, first, at_most(self.b, last, I64(count)))

    def share(self, count: int, of: int) -> Range:
        """As much of `count` numbers as this is of `of`."""
        if count == of:
            return self
        ends = (self.b.udiv(self.b.mul(end, I64(count)), I64(of))
                for end in (self.first, self.last))
        return Range(self.b, *ends)

    @contextmanager
    def rows(self, length: int) -> Iterator[tuple[Value, Range]]:
        """Of numbers that are dealt out to rows of that length: each row, and what of it."""
        stop = self.b.udiv(self.b.add(self.last, I64(length - 1)), I64(length))
        with loop(self.b, self.b.udiv(self.first, I64(length)), stop) as row:
            begin = self.b.mul(row, I64(length))
            first, last = (self.b.sub(end, begin) for end in (self.first, self.last))
            yield row, Range(
                self.b, at_least(self.b, first, I64(0)), at_most(self.b, last, I64(length)))

    @contextmanager
    def nest(self, sizes: Sequence[int]) -> Iterator[list[Value]]:
        """Nested loops over axes of those sizes, of which the outer ones are divided."""
        outer = _divided(sizes)
        with ExitStack() as loops:
            number = loops.enter_context(self.each())
            at: list[Value] = []
            for size in reversed(sizes[1:outer]):
                at.insert(0, self.b.urem(number, I64(size)))
                number = self.b.udiv(number, I64(size))
            if outer:
                at.insert(0, number)
            yield at + [loops.enter_context(loop(self.b, 0, size)) for size in sizes[outer:]]


def at_least(b: ir.IRBuilder, value: Value, least: Value) -> Value:
    return b.select(b.icmp_signed(">", value, least), value, least)


def at_most(b: ir.IRBuilder, value: Value, most: Value) -> Value:
    return b.select(b.icmp_signed("<", value, most), value, most)


def whole(b: ir.IRBuilder, count: int) -> Range:
    return Range(b, I64(0), I64(count))


def pieces_of(sizes: Sequence[int]) -> int:
    """How many pieces `nest` divides axes into."""
    return prod(sizes[: _divided(sizes)])


def _divided(sizes: Sequence[int]) -> int:
    """As few of the outer axes as are enough pieces."""
    for count in range(len(sizes)):
        if prod(sizes[:count]) >= ENOUGH_PIECES:
            return count
    return len(sizes)
