"""Convolutions by Winograd's minimal filtering, as tasks: what is done before and after the
products, and the memory that each needs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.native.filtering import FilteredForward, FilteredGradient
from flowc_runtime.native.lanes import Lanes, Value, loop
from flowc_runtime.native.minimal import KERNEL, POINTS, WEIGHTS, Grid, transform
from flowc_runtime.native.moving import ClearTask
from flowc_runtime.native.parts import Part
from flowc_runtime.native.planes import Plane
from flowc_runtime.native.products import PRODUCTS_A_NANOSECOND
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.tiles import FLOAT_BYTES, Tiles
from flowc_runtime.native.tiling import WINDOW, Tiling
from flowc_runtime.native.unit import Task, Unit, Writer

WEIGHTS_A_NANOSECOND = 5  # transformed


@dataclass(frozen=True, slots=True)
class WeightsTask(Writer):
    """What goes over a kernel [rows, columns, channels, filters]. A piece is a channel."""

    tiling: Tiling

    @property
    def pieces(self) -> int:
        return self.tiling.plane.channels

    @property
    def nanoseconds(self) -> float:
        return self.tiling.plane.weights / WEIGHTS_A_NANOSECOND

    def each(
        self, t: Tiles, pieces: Range, *places: int
    ) -> Iterator[tuple[list[Value], Sequence[Part]]]:
        """Vectors of filters: where they begin in each of the places, and their parts."""
        filters = self.tiling.plane.filters
        with pieces.each() as channel:
            for filter, parts in t.blocks(whole(t.b, filters), filters):
                yield [t.at(t.place(k), (channel, filters), (filter, 1)) for k in places], parts


@dataclass(frozen=True, slots=True)
class KernelTask(WeightsTask):
    """A kernel at pairs of points: G w G^T."""

    source: int  # the number of its place
    target: int
    turning: Task | None  # what leaves the kernel there

    @property
    def before(self) -> Task | None:
        return self.turning

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        t = Tiles(b, unit.lanes)
        for (weights, points), parts in self.each(t, pieces, self.source, self.target):
            transform(
                t, _taps(self.tiling.plane, weights), _points(self.tiling, points), KERNEL, KERNEL,
                parts)


@dataclass(frozen=True, slots=True)
class FilteredTask(Writer):
    """A convolution of images with a kernel, or with what `turning` makes of it."""

    tiling: Tiling
    turning: Task | None

    @property
    def before(self) -> KernelTask:
        source, target = (1, 3) if self.turning is None else (3, 4)
        return KernelTask(self.tiling, source, target, self.turning)

    @property
    def shared_bytes(self) -> tuple[int, ...]:
        """The turned kernel, and the kernel at pairs of points."""
        turned = () if self.turning is None else (FLOAT_BYTES * self.tiling.plane.weights,)
        return (*turned, self.tiling.kernel_bytes)

    @property
    def spilled_bytes(self) -> tuple[int, ...]:
        """Data at pairs of points, sums of products there, and an image with its padding."""
        tiling = self.tiling
        stretches = (
            tiling.bytes(count, POINTS**2)
            for count in (tiling.plane.channels, tiling.plane.filters))
        return (*stretches, _frame_bytes(tiling.image))

    @property
    def pieces(self) -> int:
        return self.tiling.plane.images * self.tiling.down

    @property
    def nanoseconds(self) -> float:
        return _nanoseconds(self.tiling)

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Of two operands, the result, what is shared, and what is spilled."""
        walk, kernel = FilteredForward(b, self.tiling, unit.lanes), self.before.target
        spilled = kernel + 1, kernel + 2, kernel + 3
        walk.run(pieces, *(walk.place(k) for k in (0, kernel, 2, *spilled)))


@dataclass(frozen=True, slots=True)
class PointsTask(Writer):
    """The gradient of a kernel at pairs of points, added to what is in the place after the
    result."""

    tiling: Tiling

    @property
    def before(self) -> ClearTask:
        return ClearTask(3, self.tiling.bundles * self.tiling.kernel_bytes)

    @property
    def spilled_bytes(self) -> tuple[int, ...]:
        """Data and the result's gradient at some points, and an image of each with its padding."""
        tiling = self.tiling
        stretches = (
            tiling.bytes(count, POINTS) for count in (tiling.plane.channels, tiling.plane.filters))
        return (*stretches, _frame_bytes(tiling.image), _frame_bytes(tiling.result))

    @property
    def pieces(self) -> int:
        return self.tiling.bundles * POINTS

    @property
    def nanoseconds(self) -> float:
        return _nanoseconds(self.tiling)

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Of two operands, the sums, and what is spilled."""
        walk = FilteredGradient(b, self.tiling, unit.lanes)
        walk.run(pieces, *(walk.place(k) for k in (0, 1, 3, 4, 5, 6, 7)))


@dataclass(frozen=True, slots=True)
class FilteredGradientTask(WeightsTask):
    """The gradient of a kernel, of the sums at pairs of points."""

    @property
    def before(self) -> PointsTask:
        return PointsTask(self.tiling)

    @property
    def shared_bytes(self) -> tuple[int, ...]:
        return (self.tiling.bundles * self.tiling.kernel_bytes,)

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        t = Tiles(b, unit.lanes)
        for (points, weights), parts in self.each(t, pieces, 3, 2):
            _add_bundles(t, self.tiling, points, parts)
            transform(
                t, _points(self.tiling, points), _taps(self.tiling.plane, weights), WEIGHTS,
                WEIGHTS, parts)


def _add_bundles(t: Tiles, tiling: Tiling, points: Value, parts: Sequence[Part]) -> None:
    """The sums of all bundles at each pair of points, where those of the first are."""
    apart = tiling.kernel_apart
    with loop(t.b, 0, POINTS**2) as k:
        first = t.at(points, (k, apart))
        for part in parts:
            lanes, place = Lanes(t.b, part.lanes), t.near(first, part.offset)
            total = lanes.load(place, "f32")
            for bundle in range(1, tiling.bundles):
                more = lanes.load(t.near(place, bundle * POINTS**2 * apart), "f32")
                total = t.b.fadd(total, more)
            lanes.store(total, place, "f32")


def _taps(plane: Plane, place: Value) -> Grid:
    each = plane.channels * plane.filters
    return Grid(place, WINDOW * each, each)


def _points(tiling: Tiling, place: Value) -> Grid:
    return Grid(place, POINTS * tiling.kernel_apart, tiling.kernel_apart)


def _frame_bytes(plane: Plane) -> int:
    return FLOAT_BYTES * plane.padded_image if plane.padded else 0


def _nanoseconds(tiling: Tiling) -> float:
    plane = tiling.plane
    tiles = plane.images * tiling.down * tiling.across
    return tiles * POINTS**2 * plane.channels * plane.filters / PRODUCTS_A_NANOSECOND
