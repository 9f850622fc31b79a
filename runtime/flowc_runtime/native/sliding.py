"""Windows that slide along an axis, and which of their taps see it: known when code is written, or
computed when it runs."""

from __future__ import annotations

from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Value
from flowc_runtime.native.ranges import at_least, at_most
from flowc_runtime.ops.window import Axis

ONE = Axis(1, 1, 1, 0, 0)  # the rows of a sequence


@dataclass(frozen=True, slots=True)
class Sliding:
    """From position `o` tap `k` sees the element `o*stride + k*gap + start` of `size`, if there is
    one."""

    size: int
    positions: int
    stride: int
    taps: int
    gap: int
    start: int

    @property
    def inner(self) -> range:
        """The positions from which all taps see an element."""
        first = min(max(0, -(self.start // self.stride)), self.positions)
        last = self.start + (self.taps - 1) * self.gap  # what the last tap sees from position 0
        stop = (self.size - 1 - last) // self.stride + 1
        return range(first, max(first, min(stop, self.positions)))

    @property
    def swapped(self) -> Sliding:
        """From which positions a tap sees an element: positions and taps change their parts."""
        return Sliding(self.size, self.taps, self.gap, self.positions, self.stride, self.start)


def sliding_of(axis: Axis) -> Sliding:
    return Sliding(
        axis.size, axis.steps, axis.stride, axis.window, axis.dilation, -axis.before)


def seen(
    b: ir.IRBuilder, sliding: Sliding, position: Value, before: int = 0, after: int = 0
) -> tuple[Value, Value]:
    """From which tap on, and up to which, a position sees the axis or so much around it."""
    if len(sliding.inner) == sliding.positions:
        return I64(0), I64(sliding.taps)
    first = b.add(b.mul(position, I64(sliding.stride)), I64(sliding.start))
    return reach(b, first, sliding.size, sliding.gap, I64(sliding.taps), before, after)


def reach(
    b: ir.IRBuilder, start: Value, size: int, gap: int, taps: Value, before: int = 0,
    after: int = 0,
) -> tuple[Value, Value]:
    """The same of taps of which the first sees the element `start`."""
    missing, left = b.sub(I64(-before), start), b.sub(I64(size + after), start)
    first, stop = (
        _divided_up(b, at_least(b, count, I64(0)), gap) for count in (missing, left))
    return first, at_most(b, stop, taps)


def _divided_up(b: ir.IRBuilder, value: Value, divisor: int) -> Value:
    if divisor == 1:
        return value
    return b.sdiv(b.add(value, I64(divisor - 1)), I64(divisor))
