"""Machine code of convolutions of images and sequences in f32, and of their gradients.

All keep a tile of what they compute in registers and go over what is summed once: a stretch of
some pixels (or of elements of a window) times some vectors of filters, so that a loaded vector of
weights is used for each pixel, and a loaded pixel for each vector.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from flowc_runtime.native.frames import Frames
from flowc_runtime.native.lanes import I64, Value, loop
from flowc_runtime.native.parts import Part
from flowc_runtime.native.planes import Plane
from flowc_runtime.native.ranges import Range, whole


class Walk(Frames, ABC):
    """What the kernels have in common."""

    @staticmethod
    @abstractmethod
    def pieces_of(plane: Plane) -> int: ...

    @abstractmethod
    def run(
        self, pieces: Range, first: Value, second: Value, result: Value, padded: Value
    ) -> None: ...

    def groups(self, seen: int, made: int) -> Iterator[tuple[Value, Value, Sequence[Part]]]:
        """Of the numbers of a pixel, groups of which each makes so many of those that it sees: the
        first that are seen, the first of each block that is made, and the block's parts."""
        with loop(self.b, 0, self.plane.groups) as group:
            for first, parts in self.blocks(whole(self.b, made), made):
                yield self.sum((group, seen)), self.sum((group, made), (first, 1)), parts


# --- the result ----------------------------------------------------------------------------------


class Forward(Walk):
    """y[n, p, q, f] = sum over i, j, c of x[n, p*sh + i*dh, q*sw + j*dw, c] * w[i, j, c, f].

    A piece is a row of a result; or a pixel, where there is one row.
    """

    @staticmethod
    def pieces_of(plane: Plane) -> int:
        return plane.images * (plane.rows.steps if plane.rows.steps > 1 else plane.columns.steps)

    def run(
        self, pieces: Range, first: Value, second: Value, result: Value, padded: Value
    ) -> None:
        plane = self.plane
        height, width = plane.rows.steps, plane.columns.steps
        with pieces.rows(height if height > 1 else width) as (number, some):
            rows, pixels = (some, whole(self.b, width)) if height > 1 else (
                whole(self.b, 1), some)
            image = self.image(first, number, padded, self._seen(rows))
            results = self.at(result, (number, plane.result))
            for depth, filter, parts in self.groups(plane.depth, plane.breadth):
                seen, weights = self.at(image, (depth, 1)), self.at(second, (filter, 1))
                out = self.at(results, (filter, 1))
                with rows.each() as row:
                    self._row(seen, weights, out, row, pixels, parts)

    def _seen(self, rows: Range) -> Range:
        """The rows of an image that rows of the result see."""
        axis = self.plane.rows
        last = self.b.sub(rows.last, I64(1))
        first = self.b.mul(rows.first, I64(axis.stride))
        stop = self.b.add(self.b.mul(last, I64(axis.stride)), I64(axis.extent))
        return Range(self.b, first, stop).part(axis.before, axis.size)

    def _row(
        self, image: Value, weights: Value, result: Value, row: Value, pixels: Range,
        parts: Sequence[Part],
    ) -> None:
        plane, columns = self.plane, self.plane.columns
        step = columns.stride * plane.channels
        seen = self.at(image, (row, plane.rows.stride * self.row))
        out = self.at(result, (row, columns.steps * plane.filters))
        for first, length in self.evenly(pixels, columns.steps, self.most(parts)):
            self._tile(
                self.at(seen, (first, step)), weights, self.at(out, (first, plane.filters)),
                parts, length)

    def _tile(
        self, seen: Value, weights: Value, out: Value, parts: Sequence[Part], pixels: int
    ) -> None:
        step = self.plane.columns.stride * self.plane.channels
        terms = (
            ([self.near(element, k * step) for k in range(pixels)], vectors)
            for element, vectors in self._window(seen, weights)
        )
        self.tile(out, self.plane.filters, parts, pixels, terms, keep=False)

    def _window(self, seen: Value, weights: Value) -> Iterator[tuple[Value, Value]]:
        """The elements of a window and their weights, one after the other."""
        plane = self.plane
        rows, run, gap = plane.rows.window, *runs(plane)
        count = plane.columns.window * plane.depth // run
        with (
            loop(self.b, 0, rows) as i,
            loop(self.b, 0, count) as j,
            loop(self.b, 0, run) as k,
        ):
            element = self.at(seen, (i, plane.rows.dilation * self.row), (j, gap), (k, 1))
            stride = plane.filters
            yield element, self.at(
                weights, (i, count * run * stride), (j, run * stride), (k, stride))


def runs(plane: Plane) -> tuple[int, int]:
    """Elements of a window's row that are neighbours in the image, and the way to the next run."""
    if plane.columns.dilation == 1 and plane.groups == 1:
        return plane.columns.window * plane.channels, 0
    return plane.depth, plane.columns.dilation * plane.channels


# --- the gradient of the image -------------------------------------------------------------------


class Spread(Walk):
    """To x[n, p*sh + i*dh, q*sw + j*dw, c] the sum over f of g[n, p, q, f] * w[i, j, f, c].

    Tap by tap; a tile is some pixels of a row times some vectors of channels.
    """

    @staticmethod
    def pieces_of(plane: Plane) -> int:
        return plane.images

    def run(
        self, pieces: Range, first: Value, second: Value, result: Value, padded: Value
    ) -> None:
        plane = self.plane
        with pieces.each() as number:
            image = self.at(result, (number, plane.image))
            target = padded if plane.padded else image
            self.clear(target, plane.padded_image)
            gradient = self.at(first, (number, plane.result))
            for filter, channel, parts in self.groups(plane.breadth, plane.depth):
                self._taps(
                    self.at(gradient, (filter, 1)), self.at(second, (channel, 1)),
                    self.at(target, (channel, 1)), parts)
            if plane.padded:
                rows = whole(self.b, plane.rows.size)
                with self.inside(image, padded, rows) as (plain, framed, width):
                    self.copy(framed, plain, width)

    def _taps(self, gradient: Value, w: Value, image: Value, parts: Sequence[Part]) -> None:
        rows, columns, channels = self.plane.rows, self.plane.columns, self.plane.channels
        each = self.plane.breadth * channels
        with (
            loop(self.b, 0, rows.window) as i,
            loop(self.b, 0, columns.window) as j,
            loop(self.b, 0, rows.steps) as p,
        ):
            weights = self.at(w, (i, columns.window * each), (j, each))
            seen = self.at(
                image, (i, rows.dilation * self.row), (j, columns.dilation * channels),
                (p, rows.stride * self.row))
            self._row(self.at(gradient, (p, columns.steps * self.plane.filters)), weights, seen,
                      parts)

    def _row(self, gradient: Value, weights: Value, seen: Value, parts: Sequence[Part]) -> None:
        columns, filters = self.plane.columns, self.plane.filters
        step = columns.stride * self.plane.channels
        every = whole(self.b, columns.steps)
        for first, length in self.evenly(every, columns.steps, self.most(parts)):
            pixels, out = self.at(gradient, (first, filters)), self.at(seen, (first, step))
            self.tile(out, step, parts, length, self._filters(pixels, weights, length), True)

    def _filters(
        self, pixels: Value, weights: Value, count: int
    ) -> Iterator[tuple[Sequence[Value], Value]]:
        filters = self.plane.filters
        with loop(self.b, 0, self.plane.breadth) as f:
            first = self.at(pixels, (f, 1))
            numbers = [self.near(first, k * filters) for k in range(count)]
            yield numbers, self.at(weights, (f, self.plane.channels))


# --- the gradient of the kernel ------------------------------------------------------------------


class WeightGradient(Walk):
    """w[i, j, c, f] = sum over n, p, q of x[n, p*sh + i*dh, q*sw + j*dw, c] * g[n, p, q, f].

    A tile is some elements of a row of the window times some vectors of filters; image by image
    its sums are added to what the result holds. A piece is an element of the window.
    """

    @staticmethod
    def pieces_of(plane: Plane) -> int:
        return plane.weights // plane.filters

    def run(
        self, pieces: Range, first: Value, second: Value, result: Value, padded: Value
    ) -> None:
        plane = self.plane
        with loop(self.b, 0, plane.images) as number:
            image = self.image(first, number, padded, whole(self.b, plane.rows.size))
            gradient = self.at(second, (number, plane.result))
            for depth, filter, parts in self.groups(plane.depth, plane.breadth):
                self._elements(
                    pieces, self.at(image, (depth, 1)), self.at(gradient, (filter, 1)),
                    self.at(result, (filter, 1)), parts)

    def _elements(
        self, pieces: Range, image: Value, gradient: Value, w: Value, parts: Sequence[Part]
    ) -> None:
        plane = self.plane
        run, gap = runs(plane)
        count = plane.columns.window * plane.depth // run
        most = self.most(parts)
        with pieces.rows(run) as (number, some):
            i, j = (f(number, I64(count)) for f in (self.b.udiv, self.b.urem))
            seen = self.at(image, (i, plane.rows.dilation * self.row), (j, gap))
            out = self.at(w, (number, run * plane.filters))
            for first, length in self.evenly(some, run, most):
                self._tile(
                    self.at(seen, (first, 1)), gradient, self.at(out, (first, plane.filters)),
                    parts, length)

    def _tile(
        self, seen: Value, gradient: Value, out: Value, parts: Sequence[Part], elements: int
    ) -> None:
        terms = self._pixels(seen, gradient, elements)
        self.tile(out, self.plane.filters, parts, elements, terms, keep=True)

    def _pixels(
        self, seen: Value, gradient: Value, elements: int
    ) -> Iterator[tuple[Sequence[Value], Value]]:
        rows, columns = self.plane.rows, self.plane.columns
        with loop(self.b, 0, rows.steps) as p, loop(self.b, 0, columns.steps) as q:
            step = columns.stride * self.plane.channels
            pixel = self.at(seen, (p, rows.stride * self.row), (q, step))
            stretch = columns.steps * self.plane.filters
            vectors = self.at(gradient, (p, stretch), (q, self.plane.filters))
            yield [self.near(pixel, k) for k in range(elements)], vectors
