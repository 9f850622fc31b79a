"""Images with their padding around them: what windows slide over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llvmlite import ir

from flowc_runtime.native.lanes import Value
from flowc_runtime.native.planes import Plane
from flowc_runtime.native.ranges import Range
from flowc_runtime.native.tiles import Tiles


class Frames(Tiles):
    """Places in the images of a plane, which may have to be padded first."""

    def __init__(self, b: ir.IRBuilder, plane: Plane, lanes: int):
        super().__init__(b, lanes)
        self.plane = plane
        self.row = plane.columns.padded * plane.channels  # numbers of a row of pixels

    def image(self, images: Value, number: Value, padded: Value, seen: Range) -> Value:
        """Where an image begins, with its padding around it; of its rows those that are seen."""
        source = self.at(images, (number, self.plane.image))
        if not self.plane.padded:
            return source
        with self.inside(source, padded, seen) as (plain, framed, width):
            self.copy(plain, framed, width)  # the padding stays 0: nothing writes there
        return padded

    @contextmanager
    def inside(
        self, image: Value, padded: Value, some: Range
    ) -> Iterator[tuple[Value, Value, int]]:
        """Some rows of an image, where each lies within the padded one, and how many numbers it
        is."""
        rows, columns = self.plane.rows, self.plane.columns
        width = columns.size * self.plane.channels
        start = (rows.before * columns.padded + columns.before) * self.plane.channels
        with some.each() as row:
            framed = self.at(self.near(padded, start), (row, self.row))
            yield self.at(image, (row, width)), framed, width
