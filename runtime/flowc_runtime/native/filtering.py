"""Machine code of convolutions by minimal filtering, a stretch of tiles at a time."""

from __future__ import annotations

from collections.abc import Iterator

from llvmlite import ir

from flowc_runtime.native.frames import Frames
from flowc_runtime.native.lanes import I64, Value, loop
from flowc_runtime.native.minimal import DATA, GRADIENT, POINTS, RESULT, Grid, Matrix, transform
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.tiles import Factors
from flowc_runtime.native.tiling import SIDE, Tiling


class Filtering(Frames):
    """What a convolution and the gradient of its kernel have in common: tiles [points, tiles,
    channels] of what images become at each pair of points."""

    def __init__(self, b: ir.IRBuilder, tiling: Tiling, lanes: int):
        super().__init__(b, tiling.image, lanes)
        self.tiling = tiling

    def seen(self, first: Value, rows: int) -> Range:
        """The rows of an image that some rows of tiles see."""
        start = self.b.mul(first, I64(SIDE))
        stop = self.b.add(start, I64(SIDE * (rows - 1) + POINTS))
        return Range(self.b, start, stop).part(self.plane.rows.before, self.plane.rows.size)

    def points(
        self, image: Value, row: int, channels: int, down: Matrix, across: Matrix, out: Value,
        rows: int,
    ) -> None:
        """Some rows of tiles of an image, whose rows are `row` numbers long, at pairs of points."""
        apart, columns = self.tiling.apart(channels), whole(self.b, self.tiling.across)
        for channel, parts in self.blocks(whole(self.b, channels), channels):
            with whole(self.b, rows).each() as p, columns.each() as q:
                tile = self.at(image, (p, SIDE * row), (q, SIDE * channels), (channel, 1))
                target = self.at(out, (p, self.tiling.across * channels), (q, channels),
                                 (channel, 1))
                transform(
                    self, Grid(tile, row, channels), Grid(target, len(across) * apart, apart),
                    down, across, parts)


class Forward(Filtering):
    """y = A^T [sum over channels of (G w G^T) * (B^T x B)] A. A piece is a row of tiles."""

    def run(
        self, pieces: Range, images: Value, kernel: Value, result: Value, data: Value,
        sums: Value, padded: Value,
    ) -> None:
        tiling, plane = self.tiling, self.tiling.plane
        with pieces.rows(tiling.down) as (number, some):
            for first, rows in self.evenly(some, tiling.down, tiling.rows):
                image = self.image(images, number, padded, self.seen(first, rows))
                seen = self.at(image, (first, SIDE * self.row))
                self.points(seen, self.row, plane.channels, DATA, DATA, data, rows)
                self._multiply(data, kernel, sums, rows)
                self._results(sums, self.at(result, (number, plane.result)), first, rows)

    def _multiply(self, data: Value, kernel: Value, sums: Value, rows: int) -> None:
        """At each pair of points [tiles, channels] times [channels, filters]."""
        tiling, plane = self.tiling, self.tiling.plane
        factors = Factors(rows * tiling.across, plane.channels, plane.filters)
        with loop(self.b, 0, POINTS**2) as k:
            left = self.at(data, (k, tiling.apart(plane.channels)))
            for filter, parts in self.blocks(whole(self.b, plane.filters), plane.filters):
                right = self.at(kernel, (k, tiling.kernel_apart), (filter, 1))
                out = self.at(sums, (k, tiling.apart(plane.filters)), (filter, 1))
                every = whole(self.b, factors.rows)
                self.product(
                    factors, left, right, out, every, parts, plane.channels, keep=False)

    def _results(self, sums: Value, result: Value, first: Value, rows: int) -> None:
        """The last row and the last column may have room for half a tile."""
        tiling, plane, b = self.tiling, self.tiling.plane, self.b
        row, stretch = plane.columns.steps * plane.filters, tiling.across * plane.filters
        apart = tiling.apart(plane.filters)
        some = Range(b, first, b.add(first, I64(rows)))
        for filter, parts in self.blocks(whole(b, plane.filters), plane.filters):
            for p, height in _ends(some, plane.rows.steps):
                for q, width in _ends(whole(b, tiling.across), plane.columns.steps):
                    tile = self.at(
                        sums, (b.sub(p, first), stretch), (q, plane.filters), (filter, 1))
                    out = self.at(result, (p, SIDE * row), (q, SIDE * plane.filters), (filter, 1))
                    transform(
                        self, Grid(tile, POINTS * apart, apart), Grid(out, row, plane.filters),
                        RESULT[:height], RESULT[:width], parts)


def _ends(some: Range, steps: int) -> Iterator[tuple[Value, int]]:
    """Some tiles along an axis, and how many results there are of each: the last may have one."""
    whole_tiles, rest = divmod(steps, SIDE)
    for start, count, size in ((0, whole_tiles, SIDE), (whole_tiles, 1, rest)):
        if count and size:
            with some.part(start, count).each() as k:
                yield some.b.add(k, I64(start)), size


class KernelGradient(Filtering):
    """dw = A^T [sum over tiles of (B^T x B) * (G dy G^T)] A, by F(3 x 3, 2 x 2), up to the sums in
    brackets, for each group of images. A piece is what a group has at one point along the rows."""

    def __init__(self, b: ir.IRBuilder, tiling: Tiling, lanes: int):
        super().__init__(b, tiling, lanes)
        self.gradients = Frames(b, tiling.result, lanes)

    def run(
        self, pieces: Range, images: Value, gradients: Value, sums: Value, data: Value,
        weighted: Value, padded: Value, padded_gradient: Value,
    ) -> None:
        tiling, b = self.tiling, self.b
        with (
            pieces.rows(POINTS) as (group, points),
            Range(b, group, b.add(group, I64(1))).share(
                self.plane.images, tiling.groups).each() as number,
        ):
            for first, rows in self.evenly(whole(b, tiling.down), tiling.down, tiling.rows):
                image = self.image(images, number, padded, self.seen(first, rows))
                start = b.mul(first, I64(SIDE))
                own = Range(b, start, b.add(start, I64(SIDE * rows)))
                gradient = self.gradients.image(
                    gradients, number, padded_gradient, own.part(0, tiling.plane.rows.steps))
                seen = self.at(image, (first, SIDE * self.row))
                spread = self.at(gradient, (first, SIDE * self.gradients.row))
                with points.each() as point:
                    self._at_point(point, seen, spread, data, weighted, rows)
                    own_sums = self.at(
                        sums, (group, POINTS**2 * tiling.kernel_apart),
                        (point, POINTS * tiling.kernel_apart))
                    self._multiply(data, weighted, own_sums, rows)

    def _at_point(
        self, point: Value, image: Value, gradient: Value, data: Value, weighted: Value, rows: int
    ) -> None:
        plane, b = self.tiling.plane, self.b
        for k in range(POINTS):
            with Range(b, point, b.add(point, I64(1))).part(k, 1).each():
                self.points(image, self.row, plane.channels, DATA[k : k + 1], DATA, data, rows)
                self.points(
                    gradient, self.gradients.row, plane.filters, GRADIENT[k : k + 1], GRADIENT,
                    weighted, rows)

    def _multiply(self, data: Value, weighted: Value, sums: Value, rows: int) -> None:
        """At each point along the columns [channels, tiles] times [tiles, filters]."""
        tiling, plane = self.tiling, self.tiling.plane
        tiles, every = rows * tiling.across, whole(self.b, plane.channels)
        factors = Factors(plane.channels, tiles, plane.filters, turned=True)
        with loop(self.b, 0, POINTS) as k:
            left = self.at(data, (k, tiling.apart(plane.channels)))
            for filter, parts in self.blocks(whole(self.b, plane.filters), plane.filters):
                right = self.at(weighted, (k, tiling.apart(plane.filters)), (filter, 1))
                out = self.at(sums, (k, tiling.kernel_apart), (filter, 1))
                self.product(factors, left, right, out, every, parts, tiles, keep=True)
