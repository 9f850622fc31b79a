"""Machine code of convolutions of images and sequences in f32, and of their gradients.

All keep a tile of what they compute in registers and go over what is summed once: a stretch of
some pixels (or of elements of a window) times some vectors of filters, so that a loaded vector of
weights is used for each pixel, and a loaded pixel for each vector.

The gradient of the image of a convolution with stride 1 is itself a convolution, of the result's
gradient with the kernel turned round, and is computed so where that has hardly more to do. Else
each pixel of the result's gradient is spread over the pixels that its window saw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Value, loop
from flowc_runtime.native.parts import Part, channel_blocks
from flowc_runtime.native.tiles import FLOAT_BYTES, Tiles, even
from flowc_runtime.native.turning import turn
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.ops.conv_columns import Convolution, convolution_of
from flowc_runtime.ops.window import Axis
from flowc_runtime.plan import Buffer, Instruction

MOST_WASTED = 1.25  # times the work, where a turned convolution also sees padding


@dataclass(frozen=True, slots=True)
class Plane:
    """A convolution along two axes, rows and columns; of a sequence there is one row."""

    images: int
    rows: Axis
    columns: Axis
    channels: int
    filters: int

    @property
    def padded(self) -> bool:
        return any(axis.padded > axis.size for axis in (self.rows, self.columns))

    @property
    def image(self) -> int:
        """Numbers of an image."""
        return self.rows.size * self.columns.size * self.channels

    @property
    def padded_image(self) -> int:
        return self.rows.padded * self.columns.padded * self.channels

    @property
    def result(self) -> int:
        """Numbers of an image's result."""
        return self.rows.steps * self.columns.steps * self.filters

    @property
    def weights(self) -> int:
        return self.rows.window * self.columns.window * self.channels * self.filters


def plane_of(conv: Convolution) -> Plane | None:
    """None where there is no code: three axes, groups, an empty batch."""
    if conv.groups > 1 or not conv.images:
        return None
    one = Axis(1, 1, 1, 0, 0)
    if conv.pointwise:  # one row of all pixels
        pixels = Axis(conv.pixels, 1, 1, 0, 0)
        return Plane(conv.images, one, pixels, conv.channels, conv.filters)
    if len(conv.axes) > 2:
        return None
    rows, columns = conv.axes if len(conv.axes) == 2 else (one, *conv.axes)
    return Plane(conv.images, rows, columns, conv.channels, conv.filters)


def turned(plane: Plane) -> Plane | None:
    """The convolution from the result's gradient back to the image; None where it is none, or
    one of too much padding."""
    axes = (plane.rows, plane.columns)
    if any(a.stride > 1 or max(a.before, a.after) >= a.extent for a in axes):
        return None
    if prod(a.size for a in axes) > MOST_WASTED * prod(a.steps for a in axes):
        return None
    rows, columns = (
        Axis(a.steps, a.window, 1, a.extent - 1 - a.before, a.extent - 1 - a.after, a.dilation)
        for a in axes
    )
    return Plane(plane.images, rows, columns, plane.filters, plane.channels)


# --- which instruction ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConvTask(Writer):
    """All that the code of an instruction depends on."""

    op: str
    plane: Plane

    @property
    def spilled_bytes(self) -> tuple[int, ...]:
        """An image with its padding, and the kernel as the gradient of the image wants it."""
        plane = self.plane
        if self.op == "conv_input_grad":
            plane = turned(plane) or plane
        padded = plane.padded_image if plane.padded else 0
        weights = plane.weights if self.op == "conv_input_grad" else 0
        return (FLOAT_BYTES * padded, FLOAT_BYTES * weights)

    def write(self, unit: Unit, b: ir.IRBuilder) -> None:
        """Of two operands, the result, and what is spilled."""
        lanes = unit.lanes
        tiles = Tiles(b, lanes)
        first, second, result, padded, weights = (tiles.place(k) for k in range(5))
        if self.op == "conv":
            _Forward(b, self.plane, lanes).run(first, second, result, padded)
        elif self.op == "conv_weight_grad":
            _WeightGradient(b, self.plane, lanes).run(first, second, result, padded)
        elif (back := turned(self.plane)) is not None:
            _transpose_taps(tiles, self.plane, second, weights, opposite=True)
            _Forward(b, back, lanes).run(first, weights, result, padded)
        else:
            _transpose_taps(tiles, self.plane, second, weights, opposite=False)
            _Spread(b, self.plane, lanes).run(first, weights, result, padded)


def conv_task(instruction: Instruction, buffers: Sequence[Buffer]) -> ConvTask | None:
    operands = [buffers[k].type for k in instruction.operands]
    result = buffers[instruction.results[0]].type
    if any(t.dtype != "f32" for t in (*operands, result)):
        return None
    image, kernel = {
        "conv": (operands[0], operands[1]),
        "conv_input_grad": (result, operands[1]),
        "conv_weight_grad": (operands[0], result),
    }[instruction.op]
    plane = plane_of(convolution_of(image.sizes, kernel.sizes, instruction.attrs))
    if plane is None:
        return None
    return ConvTask(instruction.op, plane)


# --- images ---------------------------------------------------------------------------------------


class _Walk(Tiles):
    """What the kernels share: places in an image that may have to be padded first."""

    def __init__(self, b: ir.IRBuilder, plane: Plane, lanes: int):
        super().__init__(b, lanes)
        self.plane = plane
        self.row = plane.columns.padded * plane.channels  # numbers of a row of pixels

    def image(self, images: Value, number: Value, padded: Value) -> Value:
        """Where an image begins, with its padding around it."""
        source = self.at(images, (number, self.plane.image))
        if not self.plane.padded:
            return source
        with self.inside(source, padded) as (plain, framed, width):
            self.copy(plain, framed, width)  # the padding stays 0: nothing writes there
        return padded

    @contextmanager
    def inside(self, image: Value, padded: Value) -> Iterator[tuple[Value, Value, int]]:
        """Each row of an image, where it lies within the padded one, and how many numbers it is."""
        rows, columns = self.plane.rows, self.plane.columns
        width = columns.size * self.plane.channels
        start = (rows.before * columns.padded + columns.before) * self.plane.channels
        with loop(self.b, 0, rows.size) as row:
            framed = self.at(self.near(padded, start), (row, self.row))
            yield self.at(image, (row, width)), framed, width


# --- the result ----------------------------------------------------------------------------------


class _Forward(_Walk):
    """y[n, p, q, f] = sum over i, j, c of x[n, p*sh + i*dh, q*sw + j*dw, c] * w[i, j, c, f]."""

    def run(self, x: Value, w: Value, y: Value, padded: Value) -> None:
        plane = self.plane
        with loop(self.b, 0, plane.images) as number:
            image = self.image(x, number, padded)
            result = self.at(y, (number, plane.result))
            for block in channel_blocks(plane.filters, self.lanes):
                with loop(self.b, 0, block.count) as at:
                    filters = [(I64(1), block.start), (at, block.width)]
                    weights, out = self.at(w, *filters), self.at(result, *filters)
                    with loop(self.b, 0, plane.rows.steps) as row:
                        self._row(image, weights, out, row, block.parts)

    def _row(
        self, image: Value, weights: Value, result: Value, row: Value, parts: Sequence[Part]
    ) -> None:
        plane, columns = self.plane, self.plane.columns
        step = columns.stride * plane.channels
        seen = self.at(image, (row, plane.rows.stride * self.row))
        out = self.at(result, (row, columns.steps * plane.filters))
        for start, count, length in even(columns.steps, self.most(parts)):
            with loop(self.b, 0, count) as tile:
                first = [(I64(1), start), (tile, length)]
                self._tile(
                    self.at(seen, *((k, s * step) for k, s in first)), weights,
                    self.at(out, *((k, s * plane.filters) for k, s in first)), parts, length)

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
        count = plane.columns.window * plane.channels // run
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
    if plane.columns.dilation == 1:
        return plane.columns.window * plane.channels, 0
    return plane.channels, plane.columns.dilation * plane.channels


# --- the gradient of the image -------------------------------------------------------------------


class _Spread(_Walk):
    """To x[n, p*sh + i*dh, q*sw + j*dw, c] the sum over f of g[n, p, q, f] * w[i, j, f, c].

    Tap by tap; a tile is some pixels of a row times some vectors of channels.
    """

    def run(self, g: Value, w: Value, x: Value, padded: Value) -> None:
        plane = self.plane
        with loop(self.b, 0, plane.images) as number:
            image = self.at(x, (number, plane.image))
            target = padded if plane.padded else image
            self.clear(target, plane.padded_image)
            gradient = self.at(g, (number, plane.result))
            for block in channel_blocks(plane.channels, self.lanes):
                with loop(self.b, 0, block.count) as at:
                    channels = [(I64(1), block.start), (at, block.width)]
                    self._taps(
                        gradient, self.at(w, *channels), self.at(target, *channels), block.parts)
            if plane.padded:
                with self.inside(image, padded) as (plain, framed, width):
                    self.copy(framed, plain, width)

    def _taps(self, gradient: Value, w: Value, image: Value, parts: Sequence[Part]) -> None:
        rows, columns, channels = self.plane.rows, self.plane.columns, self.plane.channels
        each = self.plane.filters * channels
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
        for start, count, length in even(columns.steps, self.most(parts)):
            with loop(self.b, 0, count) as tile:
                first = [(I64(1), start), (tile, length)]
                pixels = self.at(gradient, *((k, s * filters) for k, s in first))
                out = self.at(seen, *((k, s * step) for k, s in first))
                self.tile(out, step, parts, length, self._filters(pixels, weights, length), True)

    def _filters(
        self, pixels: Value, weights: Value, count: int
    ) -> Iterator[tuple[Sequence[Value], Value]]:
        filters = self.plane.filters
        with loop(self.b, 0, filters) as f:
            first = self.at(pixels, (f, 1))
            numbers = [self.near(first, k * filters) for k in range(count)]
            yield numbers, self.at(weights, (f, self.plane.channels))


def _transpose_taps(t: Tiles, plane: Plane, w: Value, out: Value, opposite: bool) -> None:
    """out[i, j, f, c] = w[i, j, c, f], or of the opposite tap."""
    taps = plane.rows.window * plane.columns.window
    channels, filters = plane.channels, plane.filters
    each = channels * filters
    with loop(t.b, 0, taps) as tap:
        other = t.b.sub(I64(taps - 1), tap) if opposite else tap
        source, target = t.at(w, (other, each)), t.at(out, (tap, each))
        turn(t, source, target, channels, filters, filters, channels)


# --- the gradient of the kernel ------------------------------------------------------------------


class _WeightGradient(_Walk):
    """w[i, j, c, f] = sum over n, p, q of x[n, p*sh + i*dh, q*sw + j*dw, c] * g[n, p, q, f].

    A tile is some elements of a row of the window times some vectors of filters; image by image
    its sums are added to what the result holds.
    """

    def run(self, x: Value, g: Value, w: Value, padded: Value) -> None:
        plane = self.plane
        self.clear(w, plane.weights)
        with loop(self.b, 0, plane.images) as number:
            image = self.image(x, number, padded)
            gradient = self.at(g, (number, plane.result))
            for block in channel_blocks(plane.filters, self.lanes):
                with loop(self.b, 0, block.count) as at:
                    filters = [(I64(1), block.start), (at, block.width)]
                    self._elements(
                        image, self.at(gradient, *filters), self.at(w, *filters), block.parts)

    def _elements(
        self, image: Value, gradient: Value, w: Value, parts: Sequence[Part]
    ) -> None:
        plane = self.plane
        run, gap = runs(plane)
        count = plane.columns.window * plane.channels // run
        with loop(self.b, 0, plane.rows.window) as i, loop(self.b, 0, count) as j:
            seen = self.at(image, (i, plane.rows.dilation * self.row), (j, gap))
            out = self.at(w, (i, count * run * plane.filters), (j, run * plane.filters))
            for start, tiles, length in even(run, self.most(parts)):
                with loop(self.b, 0, tiles) as tile:
                    first = [(I64(1), start), (tile, length)]
                    self._tile(
                        self.at(seen, *first), gradient,
                        self.at(out, *((k, s * plane.filters) for k, s in first)), parts, length)

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
