"""Machine code of the gradient of a depthwise convolution's kernel, in f32.

Row by row of the windows: a tile is some taps of a row of the window times some vectors of
channels, and what passes by are the pixels of the result's gradient that those taps see.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.native.channelwise import PRODUCTS_A_NANOSECOND, ChannelTiles
from flowc_runtime.native.lanes import I64, Value, loop
from flowc_runtime.native.moving import ClearTask
from flowc_runtime.native.parts import Part, channel_blocks
from flowc_runtime.native.ranges import Range, at_least, at_most, whole
from flowc_runtime.native.sliding import Sliding, seen, sliding_of
from flowc_runtime.native.tiles import FLOAT_BYTES
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.ops.window import Axis


@dataclass(frozen=True, slots=True)
class DepthwiseGradientTask(Writer):
    """w[i, j, c] = sum over n, p, q of x[n, p*sh + i*dh - top, q*sw + j*dw - left, c] *
    g[n, p, q, c]."""

    images: int
    rows: Sliding
    columns: Sliding
    channels: int

    @property
    def before(self) -> ClearTask:
        return ClearTask(2, FLOAT_BYTES * self.rows.taps * self.columns.taps * self.channels)

    @property
    def pieces(self) -> int:
        """A row of a channel's window."""
        return self.channels * self.rows.taps

    @property
    def nanoseconds(self) -> float:
        rows, columns = (s.positions * s.taps for s in (self.rows, self.columns))
        return self.images * rows * columns * self.channels / PRODUCTS_A_NANOSECOND

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Of the image, the result's gradient, and the kernel's."""
        _Gradient(b, self, unit.lanes).run(pieces)


def weight_gradient_task(
    images: int, rows: Axis, columns: Axis, channels: int
) -> DepthwiseGradientTask:
    return DepthwiseGradientTask(images, sliding_of(rows), sliding_of(columns), channels)


class _Gradient(ChannelTiles):
    def __init__(self, b: ir.IRBuilder, task: DepthwiseGradientTask, lanes: int):
        super().__init__(b, lanes)
        self.task = task
        self.row = task.columns.size * task.channels  # numbers of a row of pixels
        self.stretch = task.columns.positions * task.channels  # of one of the result's gradient

    def run(self, pieces: Range) -> None:
        task, (x, g, w) = self.task, (self.place(k) for k in range(3))
        with loop(self.b, 0, task.images) as number:
            image = self.at(x, (number, task.rows.size * self.row))
            gradient = self.at(g, (number, task.rows.positions * self.stretch))
            for channel, taps, parts in self._blocks(pieces):
                self._rows(
                    self.at(image, (channel, 1)), self.at(gradient, (channel, 1)),
                    self.at(w, (channel, 1)), taps, parts)

    def _blocks(self, pieces: Range) -> Iterator[tuple[Value, Range, Sequence[Part]]]:
        """Channels that are done together: the first, rows of their window, and their parts."""
        height, found = self.task.rows.taps, channel_blocks(self.task.channels, self.lanes)
        some, done = pieces.share(sum(block.count for block in found) * height, self.task.pieces), 0
        for block in found:
            with some.part(done * height, block.count * height).rows(height) as (number, taps):
                yield self.sum((I64(1), block.start), (number, block.width)), taps, block.parts
            done += block.count

    def _rows(
        self, image: Value, gradient: Value, w: Value, taps: Range, parts: Sequence[Part]
    ) -> None:
        """What each row of windows adds to the rows of the window that see the image."""
        b, rows, columns = self.b, self.task.rows, self.task.columns
        width = columns.taps * self.task.channels
        with loop(b, 0, rows.positions) as p:
            first, stop = seen(b, rows, p)
            some = Range(b, at_least(b, first, taps.first), at_most(b, stop, taps.last))
            pixels = self.at(gradient, (p, self.stretch))
            with some.each() as i:
                row = self.sum((p, rows.stride), (i, rows.gap), (I64(1), rows.start))
                self._taps(
                    self.at(image, (row, self.row)), pixels, self.at(w, (i, width)), parts)

    def _taps(self, row: Value, pixels: Value, w: Value, parts: Sequence[Part]) -> None:
        channels, count = self.task.channels, self.task.columns.taps
        for j, length in self.evenly(whole(self.b, count), count, self.most(parts)):
            terms = self._terms(row, pixels, j, length)
            self.tile(self.at(w, (j, channels)), channels, parts, length, terms, keep=True)

    def _terms(
        self, row: Value, pixels: Value, j: Value, count: int
    ) -> Iterator[tuple[Sequence[Value | None], Value]]:
        """For `count` taps from `j` on what each sees, and the gradient of the pixel it serves."""
        columns, channels = self.task.columns, self.task.channels
        for taps, first, stop in self._served(j, count):
            with loop(self.b, first, stop) as q:
                column = self.sum((q, columns.stride), (j, columns.gap), (I64(1), columns.start))
                place = self.at(row, (column, channels))
                yield [
                    self.near(place, k * columns.gap * channels) if k in taps else None
                    for k in range(count)
                ], self.at(pixels, (q, channels))

    def _served(self, j: Value, count: int) -> Iterator[tuple[range, Value, Value]]:
        """Of `count` taps from `j` on some, and the pixels from whose windows they see the image:
        those of each tap alone on the left and on the right, then those of all taps."""
        b, columns = self.b, self.task.columns
        ends = [seen(b, columns.swapped, b.add(j, I64(k))) for k in range(count)]
        begin = ends[0][0]
        end = at_least(b, ends[-1][1], begin)
        for k, (first, stop) in enumerate(ends):
            yield range(k, k + 1), first, at_most(b, stop, begin)
            yield range(k, k + 1), end, stop
        yield range(count), begin, end
