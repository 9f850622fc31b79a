"""Machine code of depthwise convolutions in f32, each of whose channels has a window of its own,
and of the gradients of their images.

Both sum for each position what its taps see, times the taps' weights. A tile is some pixels of a
row times some vectors of channels; taps that see no pixel are left out, so that nothing is padded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.native.channelwise import PRODUCTS_A_NANOSECOND, ChannelTiles
from flowc_runtime.native.lanes import I64, Value, loop
from flowc_runtime.native.parts import Part
from flowc_runtime.native.polyphase import Phase, backward, forward
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.sliding import reach, seen
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.ops.window import Axis


@dataclass(frozen=True, slots=True)
class DepthwiseTask(Writer):
    """All that the code depends on: the phases of rows and of columns, and the window's columns.
    """

    images: int
    rows: tuple[Phase, ...]
    columns: tuple[Phase, ...]
    window: int
    channels: int

    @property
    def height(self) -> int:
        """Rows of a result, of which each is a piece."""
        return sum(phase.sliding.positions for phase in self.rows)

    @property
    def width(self) -> int:
        return sum(phase.sliding.positions for phase in self.columns)

    @property
    def pieces(self) -> int:
        return self.images * self.height

    @property
    def nanoseconds(self) -> float:
        rows, columns = (
            sum(phase.sliding.positions * phase.sliding.taps for phase in phases)
            for phases in (self.rows, self.columns))
        return self.images * rows * columns * self.channels / PRODUCTS_A_NANOSECOND

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Of what is seen, the weights, and the result."""
        _Depthwise(b, self, unit.lanes).run(pieces)


def forward_task(images: int, rows: Axis, columns: Axis, channels: int) -> DepthwiseTask:
    """y[n, p, q, c] = sum over i, j of x[n, p*sh + i*dh - top, q*sw + j*dw - left, c] * w[i, j, c].
    """
    return DepthwiseTask(images, forward(rows), forward(columns), columns.window, channels)


def input_gradient_task(images: int, rows: Axis, columns: Axis, channels: int) -> DepthwiseTask:
    """x[n, h, v, c] = sum of g[n, p, q, c] * w[i, j, c] over the windows p, q that see pixel h, v
    with their tap i, j."""
    return DepthwiseTask(images, backward(rows), backward(columns), columns.window, channels)


@dataclass(frozen=True, slots=True)
class _Taps:
    """Some taps: where the first sees the axis and has its weight, and the way to the next one."""

    b: ir.IRBuilder
    first: Value
    stop: Value
    start: Value
    gap: int
    weight: Value
    step: int

    @contextmanager
    def each(self) -> Iterator[tuple[Value, Value]]:
        """The element that each sees, and the number of its weight."""
        b = self.b
        with loop(b, self.first, self.stop) as k:
            yield (b.add(self.start, b.mul(k, I64(self.gap))),
                   b.add(self.weight, b.mul(k, I64(self.step))))


class _Depthwise(ChannelTiles):
    def __init__(self, b: ir.IRBuilder, task: DepthwiseTask, lanes: int):
        super().__init__(b, lanes)
        self.task = task
        self.row = task.columns[0].sliding.size * task.channels  # numbers of a row that is seen
        self.image = task.rows[0].sliding.size * self.row

    def run(self, pieces: Range) -> None:
        task = self.task
        source, weights, result = (self.place(k) for k in range(3))
        width = task.width * task.channels
        with pieces.rows(task.height) as (number, rows):
            image = self.at(source, (number, self.image))
            results = self.at(result, (number, task.height * width))
            for channel, parts in self.blocks(whole(self.b, task.channels), task.channels):
                with rows.each() as row:
                    self._row(
                        self.at(image, (channel, 1)), self.at(weights, (channel, 1)),
                        self.at(results, (row, width), (channel, 1)), self._taps_of_row(row), parts)

    def _taps_of_row(self, row: Value) -> _Taps:
        b, phases = self.b, self.task.rows
        if len(phases) == 1:
            return self._taps(phases[0], row)
        number, position = (f(row, I64(len(phases))) for f in (b.urem, b.udiv))
        starts, counts, weights = zip(
            *((p.sliding.start, p.sliding.taps, p.weight) for p in phases), strict=True)
        phase, sliding = phases[0], phases[0].sliding
        start = self.sum((position, sliding.stride), (self._chosen(number, starts), 1))
        ends = reach(b, start, sliding.size, sliding.gap, self._chosen(number, counts))
        return _Taps(b, *ends, start, sliding.gap, self._chosen(number, weights), phase.step)

    def _chosen(self, number: Value, values: Sequence[int]) -> Value:
        """One of some values, by its number."""
        found = I64(values[0])
        for k, value in enumerate(values[1:], 1):
            match = self.b.icmp_signed("==", number, I64(k))
            found = self.b.select(match, I64(value), found)
        return found

    def _taps(self, phase: Phase, position: Value, inner: bool = False) -> _Taps:
        """Those that see the image; all of an inner position."""
        b, sliding = self.b, phase.sliding
        start = self.sum((position, sliding.stride), (I64(1), sliding.start))
        ends = (I64(0), I64(sliding.taps)) if inner else seen(b, sliding, position)
        return _Taps(b, *ends, start, sliding.gap, I64(phase.weight), phase.step)

    def _row(
        self, image: Value, weights: Value, result: Value, rows: _Taps, parts: Sequence[Part]
    ) -> None:
        channels, phases = self.task.channels, self.task.columns
        step = len(phases) * channels
        for number, phase in enumerate(phases):
            first = self.near(result, number * channels)
            apart = phase.sliding.stride * channels
            for pixel, count, columns in self._stretches(phase, parts):
                terms = self._terms(image, weights, rows, columns, count, apart)
                self.tile(self.at(first, (pixel, step)), step, parts, count, terms, keep=False)

    def _stretches(
        self, phase: Phase, parts: Sequence[Part]
    ) -> Iterator[tuple[Value, int, _Taps]]:
        """Pixels of a row: the first, how many, and their taps along it. Those at the edges, which
        do not see the image with all taps, come one by one."""
        inner = phase.sliding.inner
        with loop(self.b, 0, phase.sliding.positions - len(inner)) as k:
            left = self.b.icmp_signed("<", k, I64(inner.start))
            pixel = self.b.select(left, k, self.b.add(k, I64(len(inner))))
            yield pixel, 1, self._taps(phase, pixel)
        if inner:
            every = whole(self.b, len(inner))
            for first, count in self.evenly(every, len(inner), self.most(parts)):
                pixel = self.b.add(first, I64(inner.start))
                yield pixel, count, self._taps(phase, pixel, inner=True)

    def _terms(
        self, image: Value, weights: Value, rows: _Taps, columns: _Taps, count: int, apart: int
    ) -> Iterator[tuple[Sequence[Value], Value]]:
        """What so many pixels see tap by tap, so many numbers apart, and the tap's weights."""
        channels = self.task.channels
        with rows.each() as (y, i), columns.each() as (x, j):
            first = self.at(image, (y, self.row), (x, channels))
            weight = self.at(weights, (i, self.task.window * channels), (j, channels))
            yield [self.near(first, k * apart) for k in range(count)], weight
