"""Column matrices: a block of windows as a matrix, for convolution by matrix products (im2col).

A block's matrix has one row per output pixel and one column per element of the kernel that a
filter sees. Images are C-contiguous [n, *axes, c], kernels [*windows, c/groups, filters].
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from flowc_runtime.ops.op import Array, Attrs
from flowc_runtime.ops.scratch import Part
from flowc_runtime.ops.window import Axis, axes_of

# Of the matrix of one block. Measured on 1 MiB of L2 and 32 MiB of L3: 1 to 4 MiB are equally
# fast; less pays for the calls, 8 MiB and more leave the cache and take up to 1.6 times as long.
COLUMN_BYTES = 2 << 20
# Up to this many channels per group the matrix is stored transposed, so that the copy's runs
# are rows of the image and not of the kernel. Measured with 1 to 8 channels: equal at 4.
FEW_CHANNELS = 3

Block = tuple[slice, slice]  # images, positions along the first axis (rows) of the output


@dataclass(frozen=True, slots=True)
class Convolution:
    """The sizes of one convolution of images with `channels` to images with `filters`."""

    images: int
    axes: tuple[Axis, ...]
    channels: int
    filters: int
    groups: int

    @property
    def depth(self) -> int:
        """The channels that one filter sees."""
        return self.channels // self.groups

    @property
    def windows(self) -> tuple[int, ...]:
        return tuple(axis.window for axis in self.axes)

    @property
    def steps(self) -> tuple[int, ...]:
        """The size of the output along each axis."""
        return tuple(axis.steps for axis in self.axes)

    @property
    def kernel(self) -> tuple[int, ...]:
        return (*self.windows, self.depth, self.filters)

    @property
    def pixels(self) -> int:
        """The output pixels of one image."""
        return prod(self.steps)

    @property
    def padded(self) -> bool:
        return any(axis.padded > axis.size for axis in self.axes)

    @property
    def pointwise(self) -> bool:
        """Every window is one pixel, in order: the image is its own column matrix."""
        return not self.padded and all(a.window == a.stride == 1 for a in self.axes)

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.groups == self.channels == self.filters


def convolution_of(
    image: tuple[int, ...], kernel: tuple[int, ...], attrs: Attrs
) -> Convolution:
    axes = axes_of(image, kernel[:-2], attrs)
    return Convolution(image[0], axes, image[-1], kernel[-1], attrs["groups"])


def column_parts(conv: Convolution, dtype: np.dtype) -> tuple[Part, Part]:
    """The padded rows of one block, and its column matrix."""
    if conv.pointwise:
        return Part((0,), dtype), Part((0,), dtype)
    images, rows = _block_shape(conv, dtype.itemsize)
    first, *others = conv.axes
    seen = (rows - 1) * first.stride + first.extent
    padding = (images, seen, *(axis.padded for axis in others), conv.channels)
    columns = images * rows * _row_elements(conv)
    return Part(padding if conv.padded else (0,), dtype), Part((columns,), dtype)


def _row_elements(conv: Convolution) -> int:
    """The elements of the column matrix of one row of the output."""
    return prod(conv.steps[1:]) * conv.channels * prod(conv.windows)


def _block_shape(conv: Convolution, itemsize: int) -> tuple[int, int]:
    """Images and output rows of a block: whole images, or some rows of one."""
    height = conv.steps[0]
    if conv.pointwise:
        return conv.images, height
    rows = max(1, COLUMN_BYTES // (_row_elements(conv) * itemsize))
    if rows < height:
        return min(1, conv.images), rows
    return min(conv.images, rows // height), height


def blocks(conv: Convolution, itemsize: int) -> Iterator[Block]:
    images, rows = _block_shape(conv, itemsize)
    for n in range(0, conv.images, max(1, images)):
        for p in range(0, conv.steps[0], rows):
            yield (
                slice(n, min(n + images, conv.images)),
                slice(p, min(p + rows, conv.steps[0])),
            )


def columns_of(x: Array, conv: Convolution, block: Block, padding: Array, room: Array) -> Array:
    """The column matrix of one block: [groups, pixels, kh * kw * depth]."""
    if conv.pointwise:
        return by_group(x[block], conv.groups)
    windows = _windows(_seen(x, conv, block, padding), conv, block)
    room = room[: windows.size]
    count = len(conv.axes)
    pixels, elements = windows.shape[1 : 2 + count], windows.shape[2 + count :]
    if conv.depth > FEW_CHANNELS:
        np.copyto(room.reshape(windows.shape), windows)
        return room.reshape(conv.groups, prod(pixels), prod(elements))
    order = (0, *range(2 + count, windows.ndim), *range(1, 2 + count))
    np.copyto(room.reshape(conv.groups, *elements, *pixels), windows.transpose(order))
    return room.reshape(conv.groups, prod(elements), prod(pixels)).transpose(0, 2, 1)


def _windows(seen: Array, conv: Convolution, block: Block) -> Array:
    """A view [groups, images, *positions, *windows, depth] of the pixels that a block sees."""
    images, rows = (s.stop - s.start for s in block)
    image, *along, channel = seen.strides
    steps = [axis.stride * stride for axis, stride in zip(conv.axes, along, strict=True)]
    gaps = [axis.dilation * stride for axis, stride in zip(conv.axes, along, strict=True)]
    return as_strided(
        seen,
        (conv.groups, images, rows, *conv.steps[1:], *conv.windows, conv.depth),
        (conv.depth * channel, image, *steps, *gaps, channel),
        writeable=False,
    )


def _seen(x: Array, conv: Convolution, block: Block, padding: Array) -> Array:
    """The rows of the image that a block's windows touch, with their padding around them."""
    images, rows = block
    axis, *others = conv.axes
    first = rows.start * axis.stride - axis.before
    stop = (rows.stop - 1) * axis.stride + axis.extent - axis.before
    if not conv.padded:
        return x[images, first:stop]
    room = padding[: images.stop - images.start, : stop - first]
    room.fill(0)
    start = max(first, 0)
    end = max(start, min(stop, axis.size))
    inner = tuple(slice(a.before, a.before + a.size) for a in others)
    room[:, start - first : end - first, *inner] = x[images, start:end]
    return room


def by_group(array: Array, groups: int) -> Array:
    """A view [groups, rows, channels / groups] of an array [..., channels]."""
    channels = array.shape[-1]
    return array.reshape(-1, groups, channels // groups).transpose(1, 0, 2)
