"""Machine code of depthwise convolutions in f32, each of whose channels has a window of its own,
and of the gradients of their images.

Both sum for each position what its taps see, times their weights: some pixels of a row times some
vectors of channels in registers, taps outside the image left out. Of the gradient of an image with
a stride, the pixels between two windows' beginnings each are seen by other taps: phases.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import gcd

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Lanes, Value, loop
from flowc_runtime.native.parts import Part
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.sliding import Sliding, reach, seen, sliding_of
from flowc_runtime.native.tiles import Register, Tiles
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.ops.window import Axis

PRODUCTS_A_NANOSECOND = 20


@dataclass(frozen=True, slots=True)
class Phase:
    """Every so many-th result along an axis: what it sums, and the weight of tap `k`, which is
    `weight + k*step`."""

    sliding: Sliding
    weight: int = 0
    step: int = 1


def phases_back(axis: Axis) -> tuple[Phase, ...]:
    """Of the gradient of an image: pixel `r + m*stride` belongs to phase `r`.

    Window `p` sees it with its tap `i` where `p*stride + i*dilation = r + m*stride + before`, which
    every `stride / gcd(stride, dilation)`-th tap does. The taps come in reverse, so that they see
    windows in order.
    """
    step = axis.stride // gcd(axis.stride, axis.dilation)
    gap = step * axis.dilation // axis.stride
    found = []
    for r in range(min(axis.stride, axis.size)):
        positions = len(range(r, axis.size, axis.stride))
        taps = [i for i in range(axis.window)
                if (r + axis.before - i * axis.dilation) % axis.stride == 0]
        last = taps[-1] if taps else 0
        start = (r + axis.before - last * axis.dilation) // axis.stride
        sliding = Sliding(axis.steps, positions, 1, len(taps), gap, start)
        found.append(Phase(sliding, last, -step))
    return tuple(found)


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
    down, along = (Phase(sliding_of(axis)) for axis in (rows, columns))
    return DepthwiseTask(images, (down,), (along,), columns.window, channels)


def input_gradient_task(images: int, rows: Axis, columns: Axis, channels: int) -> DepthwiseTask:
    """x[n, h, v, c] = sum of g[n, p, q, c] * w[i, j, c] over the windows p, q that see pixel h, v
    with their tap i, j."""
    return DepthwiseTask(
        images, phases_back(rows), phases_back(columns), columns.window, channels)


class ChannelTiles(Tiles):
    """Tiles whose numbers are vectors as well: each channel is multiplied with itself alone."""

    def _add_products(
        self, registers: Sequence[Sequence[Register]], parts: Sequence[Part],
        numbers: Sequence[Value | None], vectors: Value,
    ) -> None:
        """To each row of registers the channels at its place times those of `vectors`; where it has
        no place, nothing."""
        loaded = [
            Lanes(self.b, p.lanes).load(self.near(vectors, p.offset), "f32") for p in parts]
        for row, place in zip(registers, numbers, strict=True):
            if place is None:
                continue
            for (lanes, register, _), part, vector in zip(row, parts, loaded, strict=True):
                other = lanes.load(self.near(place, part.offset), "f32")
                before = self.b.load(register, typ=lanes.type("f32"))
                self.b.store(lanes.call("llvm.fma", "f32", other, vector, before), register)


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
        seen_rows, seen_columns = (p[0].sliding.size for p in (task.rows, task.columns))
        self.row = seen_columns * task.channels  # numbers of a row that is seen
        self.image = seen_rows * self.row

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
        phase, position = (f(row, I64(len(phases))) for f in (b.urem, b.udiv))
        start, taps, weight = (
            self._chosen(phase, values) for values in zip(
                *((p.sliding.start, p.sliding.taps, p.weight) for p in phases), strict=True))
        start, first = b.add(start, position), phases[0]
        sliding = first.sliding
        seen = reach(b, start, sliding.size, sliding.gap, taps)
        return _Taps(b, *seen, start, sliding.gap, weight, first.step)

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
        """Pixels that see the image with all taps some at a time, those at the edges one by one."""
        step = len(self.task.columns) * self.task.channels
        for number, phase in enumerate(self.task.columns):
            out, sliding = self.near(result, number * self.task.channels), phase.sliding
            inner = sliding.inner
            with loop(self.b, 0, sliding.positions - len(inner)) as k:
                pixel = self._skipped(k, inner)
                columns = self._taps(phase, pixel)
                terms = self._terms(image, weights, rows, columns, 1, 0)
                self.tile(self.at(out, (pixel, step)), step, parts, 1, terms, keep=False)
            if not inner:
                continue
            every = whole(self.b, len(inner))
            for first, length in self.evenly(every, len(inner), self.most(parts)):
                pixel = self.b.add(first, I64(inner.start))
                columns = self._taps(phase, pixel, inner=True)
                terms = self._terms(image, weights, rows, columns, length, sliding.stride)
                self.tile(self.at(out, (pixel, step)), step, parts, length, terms, keep=False)

    def _skipped(self, k: Value, inner: range) -> Value:
        """Position number `k` of those that are not inner ones."""
        left = self.b.icmp_signed("<", k, I64(inner.start))
        return self.b.select(left, k, self.b.add(k, I64(len(inner))))

    def _terms(
        self, image: Value, weights: Value, rows: _Taps, columns: _Taps, pixels: int, stride: int
    ) -> Iterator[tuple[Sequence[Value], Value]]:
        """What some pixels see tap by tap, each `stride` further than the one before it."""
        channels = self.task.channels
        with rows.each() as (y, i), columns.each() as (x, j):
            pixel = self.at(image, (y, self.row), (x, channels))
            weight = self.at(weights, (i, self.task.window * channels), (j, channels))
            yield [self.near(pixel, k * stride * channels) for k in range(pixels)], weight
