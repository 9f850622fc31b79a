"""Machine code of convolutions by minimal filtering, a block of tiles at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.native.frames import Frames
from flowc_runtime.native.lanes import I64, Value, loop
from flowc_runtime.native.minimal import DATA, GRADIENT, POINTS, RESULT, Grid, Matrix, transform
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.tiles import Factors
from flowc_runtime.native.tiling import SIDE, Tiling


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring tiles of an image."""

    top: Value
    rows: int
    left: Value
    columns: int

    @property
    def tiles(self) -> int:
        return self.rows * self.columns


class TileWalk(Frames):
    """What a convolution and the gradient of its kernel have in common: blocks of tiles, and what
    they become at each pair of points: [points, tiles, channels]."""

    def __init__(self, b: ir.IRBuilder, tiling: Tiling, lanes: int):
        super().__init__(b, tiling.image, lanes)
        self.tiling = tiling

    def seen(self, first: Value, rows: int) -> Range:
        """The rows of an image that some rows of tiles see."""
        start = self.b.mul(first, I64(SIDE))
        stop = self.b.add(start, I64(SIDE * (rows - 1) + POINTS))
        return Range(self.b, start, stop).part(self.plane.rows.before, self.plane.rows.size)

    def across(self, top: Value, rows: int) -> Iterator[Block]:
        """The blocks beside each other in some rows of tiles."""
        tiling = self.tiling
        for left, columns in self.evenly(
                whole(self.b, tiling.across), tiling.across, tiling.columns):
            yield Block(top, rows, left, columns)

    def points(
        self, frames: Frames, image: Value, block: Block, down: Matrix, across: Matrix, out: Value
    ) -> None:
        """The tiles of a block of an image at pairs of points."""
        channels, row = frames.plane.channels, frames.row
        apart = self.tiling.apart(channels)
        seen = self.at(image, (block.top, SIDE * row), (block.left, SIDE * channels))
        for channel, parts in self.blocks(whole(self.b, channels), channels):
            with loop(self.b, 0, block.rows) as p, loop(self.b, 0, block.columns) as q:
                tile = self.at(seen, (p, SIDE * row), (q, SIDE * channels), (channel, 1))
                target = self.at(out, (p, block.columns * channels), (q, channels), (channel, 1))
                transform(
                    self, Grid(tile, row, channels), Grid(target, len(across) * apart, apart),
                    down, across, parts)


class FilteredForward(TileWalk):
    """y = A^T [sum over channels of (G w G^T) * (B^T x B)] A. A piece is a row of tiles."""

    def run(
        self, pieces: Range, images: Value, kernel: Value, result: Value, data: Value,
        sums: Value, padded: Value,
    ) -> None:
        tiling, plane = self.tiling, self.tiling.plane
        with pieces.rows(tiling.down) as (number, some):
            results = self.at(result, (number, plane.result))
            for top, rows in self.evenly(some, tiling.down, tiling.rows):
                image = self.image(images, number, padded, self.seen(top, rows))
                for block in self.across(top, rows):
                    self.points(self, image, block, DATA, DATA, data)
                    self._multiply(data, kernel, sums, block.tiles)
                    self._results(sums, results, block)

    def _multiply(self, data: Value, kernel: Value, sums: Value, tiles: int) -> None:
        """At each pair of points [tiles, channels] times [channels, filters]."""
        tiling, plane = self.tiling, self.tiling.plane
        factors = Factors(tiles, plane.channels, plane.filters)
        with loop(self.b, 0, POINTS**2) as k:
            left = self.at(data, (k, tiling.apart(plane.channels)))
            for filter, parts in self.blocks(whole(self.b, plane.filters), plane.filters):
                right = self.at(kernel, (k, tiling.kernel_apart), (filter, 1))
                out = self.at(sums, (k, tiling.apart(plane.filters)), (filter, 1))
                every = whole(self.b, tiles)
                self.product(
                    factors, left, right, out, every, parts, plane.channels, keep=False)

    def _results(self, sums: Value, result: Value, block: Block) -> None:
        plane, b = self.tiling.plane, self.b
        row, apart = plane.columns.steps * plane.filters, self.tiling.apart(plane.filters)
        rows, columns = (
            Range(b, first, b.add(first, I64(count)))
            for first, count in ((block.top, block.rows), (block.left, block.columns)))
        for filter, parts in self.blocks(whole(b, plane.filters), plane.filters):
            for p, height in _ends(rows, plane.rows.steps):
                for q, width in _ends(columns, plane.columns.steps):
                    tile = self.at(
                        sums, (b.sub(p, block.top), block.columns * plane.filters),
                        (b.sub(q, block.left), plane.filters), (filter, 1))
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


class FilteredGradient(TileWalk):
    """dw = A^T [sum over tiles of (B^T x B) * (G dy G^T)] A, by F(3 x 3, 2 x 2), up to the sums in
    brackets, for each bundle of images. A piece is what a bundle has at one point along the rows.
    """

    def __init__(self, b: ir.IRBuilder, tiling: Tiling, lanes: int):
        super().__init__(b, tiling, lanes)
        self.gradients = Frames(b, tiling.result, lanes)

    def run(
        self, pieces: Range, images: Value, gradients: Value, sums: Value, data: Value,
        weighted: Value, padded: Value, padded_gradient: Value,
    ) -> None:
        tiling, b = self.tiling, self.b
        with (
            pieces.rows(POINTS) as (bundle, points),
            Range(b, bundle, b.add(bundle, I64(1))).share(
                self.plane.images, tiling.bundles).each() as number,
        ):
            for top, rows in self.evenly(whole(b, tiling.down), tiling.down, tiling.rows):
                image = self.image(images, number, padded, self.seen(top, rows))
                start = b.mul(top, I64(SIDE))
                own = Range(b, start, b.add(start, I64(SIDE * rows)))
                gradient = self.gradients.image(
                    gradients, number, padded_gradient, own.part(0, tiling.plane.rows.steps))
                for block in self.across(top, rows):
                    with points.each() as point:
                        self._at_point(point, image, gradient, block, data, weighted)
                        own_sums = self.at(
                            sums, (bundle, POINTS**2 * tiling.kernel_apart),
                            (point, POINTS * tiling.kernel_apart))
                        self._multiply(data, weighted, own_sums, block.tiles)

    def _at_point(
        self, point: Value, image: Value, gradient: Value, block: Block, data: Value,
        weighted: Value,
    ) -> None:
        for k in range(POINTS):
            with Range(self.b, point, self.b.add(point, I64(1))).part(k, 1).each():
                self.points(self, image, block, DATA[k : k + 1], DATA, data)
                self.points(
                    self.gradients, gradient, block, GRADIENT[k : k + 1], GRADIENT, weighted)

    def _multiply(self, data: Value, weighted: Value, sums: Value, tiles: int) -> None:
        """At each point along the columns [channels, tiles] times [tiles, filters]."""
        tiling, plane = self.tiling, self.tiling.plane
        every = whole(self.b, plane.channels)
        factors = Factors(plane.channels, tiles, plane.filters, turned=True)
        with loop(self.b, 0, POINTS) as k:
            left = self.at(data, (k, tiling.apart(plane.channels)))
            for filter, parts in self.blocks(whole(self.b, plane.filters), plane.filters):
                right = self.at(weighted, (k, tiling.apart(plane.filters)), (filter, 1))
                out = self.at(sums, (k, tiling.kernel_apart), (filter, 1))
                self.product(factors, left, right, out, every, parts, tiles, keep=True)
