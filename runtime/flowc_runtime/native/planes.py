"""Convolutions along one or two axes as geometry: planes, and the way back through one."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from flowc_runtime.native.sliding import ONE
from flowc_runtime.ops.conv_columns import Convolution
from flowc_runtime.ops.window import Axis

MOST_WASTED = 1.25  # times the work, where a turned convolution also sees padding


@dataclass(frozen=True, slots=True)
class Plane:
    """A convolution along two axes, rows and columns; of a sequence there is one row."""

    images: int
    rows: Axis
    columns: Axis
    channels: int
    filters: int
    groups: int

    @property
    def depth(self) -> int:
        """Channels of a group."""
        return self.channels // self.groups

    @property
    def breadth(self) -> int:
        """Filters of a group."""
        return self.filters // self.groups

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
        return self.rows.window * self.columns.window * self.depth * self.filters


def plane_of(conv: Convolution) -> Plane | None:
    """None where there is no code: three axes, an empty batch."""
    if not conv.images:
        return None
    parts = conv.channels, conv.filters, conv.groups
    if conv.pointwise:  # one row of all pixels
        pixels = Axis(conv.pixels, 1, 1, 0, 0)
        return Plane(conv.images, ONE, pixels, *parts)
    if len(conv.axes) > 2:
        return None
    rows, columns = conv.axes if len(conv.axes) == 2 else (ONE, *conv.axes)
    return Plane(conv.images, rows, columns, *parts)


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
    return Plane(plane.images, rows, columns, plane.filters, plane.channels, plane.groups)
