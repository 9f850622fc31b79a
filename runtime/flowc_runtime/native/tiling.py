"""Results of a convolution in tiles of 2 by 2, and which convolutions are computed so."""

from __future__ import annotations

from dataclasses import dataclass, replace

from flowc_runtime.native.minimal import POINTS
from flowc_runtime.native.planes import Plane
from flowc_runtime.native.tiles import FLOAT_BYTES
from flowc_runtime.ops.window import Axis

SIDE = 2  # of a tile
WINDOW = 3
FEWEST_TILES, MOST_TILES = 8, 32  # of a block: enough to use weights often that have been loaded
BLOCK_BYTES = 1 << 19  # of a block at all pairs of points, which stays in the second cache
BUNDLES_BYTES, MOST_BUNDLES = 1 << 20, 8  # of sums that stay near, for bundles of images
# Measured on a core with 1 MiB of second cache: equally fast with 4 channels, or 3 results a row.
# With 256 channels and filters 1.3 times as fast; 512 take longer, whose weights come from memory.
FEWEST_CHANNELS, FEWEST_STEPS, MOST_PAIRS = 8, 4, 1 << 16
LINE = 16  # numbers: what lies a power of two apart would meet in few lines of a cache


@dataclass(frozen=True, slots=True)
class Tiling:
    """Of a convolution with a window of 3 by 3 that slides one by one."""

    plane: Plane

    @property
    def down(self) -> int:
        return -(-self.plane.rows.steps // SIDE)

    @property
    def across(self) -> int:
        return -(-self.plane.columns.steps // SIDE)

    @property
    def columns(self) -> int:
        """Tiles beside each other in a block, at most."""
        return min(self.across, self._most)

    @property
    def rows(self) -> int:
        """Rows of tiles in a block, at most."""
        return min(self.down, self._most // self.columns)

    @property
    def _most(self) -> int:
        each = FLOAT_BYTES * POINTS**2 * (self.plane.channels + self.plane.filters)
        return max(FEWEST_TILES, min(MOST_TILES, BLOCK_BYTES // each))

    @property
    def image(self) -> Plane:
        """The convolution with as much padding that its result is whole tiles."""
        rows, columns = (
            replace(axis, after=axis.after + axis.steps % SIDE)
            for axis in (self.plane.rows, self.plane.columns))
        return replace(self.plane, rows=rows, columns=columns)

    @property
    def result(self) -> Plane:
        """The result, or its gradient, as an image that is padded to whole tiles."""
        plane = self.plane
        rows, columns = (
            Axis(axis.steps, 1, 1, 0, axis.steps % SIDE) for axis in (plane.rows, plane.columns))
        return Plane(plane.images, rows, columns, plane.filters, plane.filters, 1)

    def apart(self, channels: int) -> int:
        """From the numbers of tiles at one point to those at the next."""
        return self.rows * self.columns * channels + LINE

    def bytes(self, channels: int, points: int) -> int:
        """Of a block."""
        return FLOAT_BYTES * points * self.apart(channels)

    @property
    def kernel_apart(self) -> int:
        """From the weights at one point to those at the next."""
        return self.plane.channels * self.plane.filters + LINE

    @property
    def kernel_bytes(self) -> int:
        return FLOAT_BYTES * POINTS**2 * self.kernel_apart

    @property
    def bundles(self) -> int:
        """Of images, whose gradients of the kernel are added in order."""
        return max(1, min(BUNDLES_BYTES // self.kernel_bytes, MOST_BUNDLES, self.plane.images))


def tiling_of(plane: Plane) -> Tiling | None:
    """None where multiplying less does not pay, or is not known how.

    The number of images must not matter, so that each gives the same bits in any company.
    """
    axes = plane.rows, plane.columns
    if plane.groups > 1:
        return None
    if any((axis.window, axis.stride, axis.dilation) != (WINDOW, 1, 1) for axis in axes):
        return None
    if min(axis.steps for axis in axes) < FEWEST_STEPS:
        return None
    if min(plane.channels, plane.filters) < FEWEST_CHANNELS:
        return None
    return Tiling(plane) if plane.channels * plane.filters <= MOST_PAIRS else None
