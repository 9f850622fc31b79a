"""Column matrices: a block of windows as a matrix, for convolution by matrix products (im2col).

A block's matrix has one row per output pixel and one column per element of the kernel that a
filter sees. Images are C-contiguous [n, h, w, c], kernels [kh, kw, c/groups, filters].
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

Block = tuple[slice, slice]  # images, rows of the output


@dataclass(frozen=True, slots=True)
class Convolution:
    """The sizes of one convolution of images with `channels` to images with `filters`."""

    images: int
    height: Axis
    width: Axis
    channels: int
    filters: int
    groups: int

    @property
    def depth(self) -> int:
        """The channels that one filter sees."""
        return self.channels // self.groups

    @property
    def kernel(self) -> tuple[int, int, int, int]:
        return (self.height.window, self.width.window, self.depth, self.filters)

    @property
    def pixels(self) -> int:
        """The output pixels of one image."""
        return self.height.steps * self.width.steps

    @property
    def padded(self) -> bool:
        return self.height.padded + self.width.padded > self.height.size + self.width.size

    @property
    def pointwise(self) -> bool:
        """Every window is one pixel, in order: the image is its own column matrix."""
        one = (self.height.window, self.width.window, self.height.stride, self.width.stride)
        return one == (1, 1, 1, 1) and not self.padded

    @property
    def depthwise(self) -> bool:
        return self.groups > 1 and self.groups == self.channels == self.filters


def convolution_of(
    image: tuple[int, ...], kernel: tuple[int, ...], attrs: Attrs
) -> Convolution:
    height, width = axes_of(image, (kernel[0], kernel[1]), attrs)
    return Convolution(image[0], height, width, image[3], kernel[3], attrs["groups"])


def column_parts(conv: Convolution, dtype: np.dtype) -> tuple[Part, Part]:
    """The padded rows of one block, and its column matrix."""
    if conv.pointwise:
        return Part((0,), dtype), Part((0,), dtype)
    images, rows = _block_shape(conv, dtype.itemsize)
    seen = (rows - 1) * conv.height.stride + conv.height.extent
    padding = (images, seen, conv.width.padded, conv.channels) if conv.padded else (0,)
    columns = images * rows * conv.width.steps * conv.channels * prod(conv.kernel[:2])
    return Part(padding, dtype), Part((columns,), dtype)


def _block_shape(conv: Convolution, itemsize: int) -> tuple[int, int]:
    """Images and output rows of a block: whole images, or some rows of one."""
    if conv.pointwise:
        return conv.images, conv.height.steps
    row_bytes = conv.width.steps * conv.channels * prod(conv.kernel[:2]) * itemsize
    rows = max(1, COLUMN_BYTES // row_bytes)
    if rows < conv.height.steps:
        return min(1, conv.images), rows
    return min(conv.images, rows // conv.height.steps), conv.height.steps


def blocks(conv: Convolution, itemsize: int) -> Iterator[Block]:
    images, rows = _block_shape(conv, itemsize)
    for n in range(0, conv.images, max(1, images)):
        for p in range(0, conv.height.steps, rows):
            yield (
                slice(n, min(n + images, conv.images)),
                slice(p, min(p + rows, conv.height.steps)),
            )


def columns_of(x: Array, conv: Convolution, block: Block, padding: Array, room: Array) -> Array:
    """The column matrix of one block: [groups, pixels, kh * kw * depth]."""
    if conv.pointwise:
        return by_group(x[block], conv.groups)
    windows = _windows(_seen(x, conv, block, padding), conv, block)
    groups, *pixels, kh, kw, depth = windows.shape
    room = room[: windows.size]
    if depth > FEW_CHANNELS:
        np.copyto(room.reshape(windows.shape), windows)
        return room.reshape(groups, prod(pixels), kh * kw * depth)
    np.copyto(
        room.reshape(groups, kh, kw, depth, *pixels), windows.transpose(0, 4, 5, 6, 1, 2, 3)
    )
    return room.reshape(groups, kh * kw * depth, prod(pixels)).transpose(0, 2, 1)


def _windows(seen: Array, conv: Convolution, block: Block) -> Array:
    """A view [groups, images, rows, columns, kh, kw, depth] of the pixels that a block sees."""
    images, rows = (s.stop - s.start for s in block)
    kh, kw, depth, _ = conv.kernel
    image, row, column, channel = seen.strides
    return as_strided(
        seen,
        (conv.groups, images, rows, conv.width.steps, kh, kw, depth),
        (
            depth * channel,
            image,
            row * conv.height.stride,
            column * conv.width.stride,
            row * conv.height.dilation,
            column * conv.width.dilation,
            channel,
        ),
        writeable=False,
    )


def _seen(x: Array, conv: Convolution, block: Block, padding: Array) -> Array:
    """The rows of the image that a block's windows touch, with their padding around them."""
    images, rows = block
    axis = conv.height
    first = rows.start * axis.stride - axis.before
    stop = (rows.stop - 1) * axis.stride + axis.extent - axis.before
    if not conv.padded:
        return x[images, first:stop]
    room = padding[: images.stop - images.start, : stop - first]
    room.fill(0)
    start = max(first, 0)
    end = max(start, min(stop, axis.size))
    left = conv.width.before
    room[:, start - first : end - first, left : left + conv.width.size] = x[images, start:end]
    return room


def by_group(array: Array, groups: int) -> Array:
    """A view [groups, rows, channels / groups] of an array [..., channels]."""
    channels = array.shape[-1]
    return array.reshape(-1, groups, channels // groups).transpose(1, 0, 2)
