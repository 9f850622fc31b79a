"""Layout: where boxes lie and which way arrows run; the whole layered drawing in one call."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from flowc.views.coordinates import centres
from flowc.views.layers import Edge, Lattice, make_lattice
from flowc.views.ordering import order_rows

LEAST_ROW_GAP = 34.0
MOST_ROW_GAP = 110.0
SLOPE = 0.12  # how much a wide swing of arrows between two rows pushes them apart
PORT_GAP = 22.0  # between two arrows that leave or enter the same box


class Point(NamedTuple):
    x: float
    y: float


class Size(NamedTuple):
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """Top-left corners of the boxes, and a route for each edge; all within `size` from (0, 0).

    A route goes down from the lower side of one box to the upper side of another. Its points
    are joined in turn by a straight upright line (through a row) and a curve (between rows).
    """

    size: Size
    corners: tuple[Point, ...]
    routes: tuple[tuple[Point, ...], ...]


def lay_out(sizes: Sequence[Size], edges: Sequence[Edge]) -> Layout:
    """Places boxes of the given sizes; `edges` are pairs of their numbers.

    No two boxes overlap and no route crosses a box. The same input gives the same layout.
    Raises Circular where the edges are no partial order.
    """
    lattice = make_lattice(len(sizes), edges)
    order_rows(lattice)
    x = centres(lattice, [size.width for size in sizes])
    frame = _Frame(lattice, sizes, x)
    corners = tuple(
        Point(x[b] - size.width / 2, frame.middle(b) - size.height / 2)
        for b, size in enumerate(sizes)
    )
    routes = tuple(frame.route(chain) for chain in lattice.chains)
    return Layout(_extent(sizes, corners, routes), corners, routes)


class _Frame:
    """The heights of rows and the ports of boxes, from which routes are made."""

    def __init__(self, lattice: Lattice, sizes: Sequence[Size], x: Sequence[float]):
        self.lattice, self.sizes, self.x = lattice, sizes, x
        self.leaving = [self._ports(b, lattice.below[b]) for b in range(lattice.boxes)]
        self.entering = [self._ports(b, lattice.above[b]) for b in range(lattice.boxes)]
        self.top: list[float] = []
        self.bottom: list[float] = []
        self._stack_rows()

    def middle(self, place: int) -> float:
        row = self.lattice.row_of[place]
        return (self.top[row] + self.bottom[row]) / 2

    def route(self, chain: Sequence[int]) -> tuple[Point, ...]:
        """The points of an arrow that runs through the places of `chain`."""
        source, target = chain[0], chain[-1]
        start, end = self.leaving[source][chain[1]], self.entering[target][chain[-2]]
        points = [Point(start, self.middle(source) + self.sizes[source].height / 2)]
        points.append(Point(start, self.bottom[self.lattice.row_of[source]]))
        for place in chain[1:-1]:
            row = self.lattice.row_of[place]
            points.append(Point(self.x[place], self.top[row]))
            points.append(Point(self.x[place], self.bottom[row]))
        points.append(Point(end, self.top[self.lattice.row_of[target]]))
        points.append(Point(end, self.middle(target) - self.sizes[target].height / 2))
        return _without_needless(points)

    def _ports(self, box: int, others: Sequence[int]) -> dict[int, float]:
        """For each neighbour the x at which its arrow meets the box, in their order."""
        room = min(PORT_GAP, self.sizes[box].width / (len(others) + 1))
        ordered = sorted(others, key=lambda other: (self.x[other], other))
        shift = (len(others) - 1) / 2
        return {other: self.x[box] + (i - shift) * room for i, other in enumerate(ordered)}

    def _stack_rows(self) -> None:
        y = 0.0
        for number, row in enumerate(self.lattice.rows):
            height = max(self.sizes[p].height for p in row if self.lattice.is_box(p))
            self.top.append(y)
            self.bottom.append(y + height)
            y += height + self._gap_below(number)

    def _gap_below(self, row: int) -> float:
        swings = [
            abs(self.x[upper] - self.x[lower])
            for upper in self.lattice.rows[row]
            for lower in self.lattice.below[upper]
        ]
        return min(MOST_ROW_GAP, LEAST_ROW_GAP + SLOPE * max(swings, default=0.0))


def _without_needless(points: Sequence[Point]) -> tuple[Point, ...]:
    """The route without the points inside upright stretches; still line, curve, line, ..."""
    kept = list(points[:2])
    for upper, lower in zip(points[2::2], points[3::2], strict=True):
        if upper.x == kept[-1].x:
            kept[-1] = lower
        else:
            kept += [upper, lower]
    return tuple(kept)


def _extent(
    sizes: Sequence[Size], corners: Sequence[Point], routes: Sequence[Sequence[Point]]
) -> Size:
    right = [corner.x + size.width for corner, size in zip(corners, sizes, strict=True)]
    below = [corner.y + size.height for corner, size in zip(corners, sizes, strict=True)]
    right += [point.x for route in routes for point in route]
    return Size(max(right, default=0.0), max(below, default=0.0))
