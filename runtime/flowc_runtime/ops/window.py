"""Sliding windows: the geometry and type rules that convolution and pooling share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from flowc_runtime.dims import Dim
from flowc_runtime.ops.op import Attr, Reject, size_of
from flowc_runtime.types import TensorType

# Of the temporary array of a kernel that goes tap by tap. Each block makes a few calls per tap,
# so that blocks must not be small; measured, 1 to 2 MiB are the fastest for most of them.
TAP_BYTES = 1 << 20
NO_PADDING = ((0, 0), (0, 0))
STRIDE = Attr("stride", "steps between windows, (down, right)", (1, 1), required=False)
PADDING = Attr(
    "padding",
    "elements put around the image, ((top, bottom), (left, right))",
    NO_PADDING,
    required=False,
)

Slices = tuple[slice, slice, slice]  # of images, rows, columns


@dataclass(frozen=True, slots=True)
class Axis:
    """A window that slides along one axis of `size` elements.

    Window position `o` looks with its tap `i` at element `o*stride + i*dilation - before`;
    elements outside `0..size` are padding.
    """

    size: int
    window: int
    stride: int
    before: int
    after: int
    dilation: int = 1

    @property
    def extent(self) -> int:
        """The elements from the first tap to the last, both included."""
        return self.dilation * (self.window - 1) + 1

    @property
    def steps(self) -> int:
        """The number of positions: the size of the result along this axis."""
        return (self.size + self.before + self.after - self.extent) // self.stride + 1

    @property
    def padded(self) -> int:
        return self.before + self.size + self.after

    def reach(self, tap: int) -> tuple[slice, slice]:
        """The elements that `tap` sees, and the positions it sees them from."""
        shift = tap * self.dilation - self.before
        first = max(0, -(shift // self.stride))
        stop = max(first, min(self.steps, (self.size - 1 - shift) // self.stride + 1))
        if first == stop:
            return slice(0, 0), slice(0, 0)
        start = first * self.stride + shift
        last = (stop - 1) * self.stride + shift
        return slice(start, last + 1, self.stride), slice(first, stop)


@dataclass(frozen=True, slots=True)
class Tap:
    """Window element (row, column): the pixels it sees, and the positions it sees them from.

    `pixels` and `positions` index [images, rows, columns, channels] arrays.
    """

    row: int
    column: int
    pixels: Slices
    positions: Slices


def taps(height: Axis, width: Axis) -> Iterator[Tap]:
    """All taps of a two-dimensional window, row by row."""
    every = slice(None)
    for i, j in product(range(height.window), range(width.window)):
        rows, rows_from = height.reach(i)
        columns, columns_from = width.reach(j)
        yield Tap(i, j, (every, rows, columns), (every, rows_from, columns_from))


def image_blocks(images: int, image_bytes: int) -> Iterator[slice]:
    """Blocks of images for a kernel that goes tap by tap over a block.

    `image_bytes` are the bytes of the temporary array for one image.
    """
    step = max(1, block_images(images, image_bytes))
    for start in range(0, images, step):
        yield slice(start, min(start + step, images))


def block_images(images: int, image_bytes: int) -> int:
    """The images of the largest block that `image_blocks` makes."""
    return min(images, max(1, TAP_BYTES // image_bytes))


def axes_of(
    image: tuple[Dim, ...], window: tuple[int, int], attrs: Mapping[str, Any]
) -> tuple[Axis, Axis]:
    """The height and width axes of windows over an image [batch, height, width, channels]."""
    stride, dilation = attrs["stride"], attrs.get("dilation", (1, 1))
    (top, bottom), (left, right) = attrs["padding"]
    _, height, width, _ = image
    return (
        Axis(size_of(height), window[0], stride[0], top, bottom, dilation[0]),
        Axis(size_of(width), window[1], stride[1], left, right, dilation[1]),
    )


def checked_axes(
    image: TensorType, window: tuple[int, int], attrs: Mapping[str, Any], operand: int | None = 0
) -> tuple[Axis, Axis]:
    """As `axes_of`, for a type rule: raises Reject where no window fits, blaming `operand`."""
    check_image(image, operand)
    _check_settings(window, attrs)
    axes = axes_of(image.shape, window, attrs)
    for axis, name in zip(axes, ("height", "width"), strict=True):
        _check_fit(axis, name, image, operand)
    return axes


def check_image(image: TensorType, operand: int | None) -> None:
    """Raises Reject unless `image` is [batch, height, width, channels], all but batch known."""
    if image.rank != 4:
        raise Reject(f"needs the shape [batch, height, width, channels], but is {image}", operand)
    for dim, name in zip(image.shape[1:], ("height", "width", "number of channels"), strict=True):
        known(dim, name, operand)


def known(dim: Dim, name: str, operand: int | None) -> int:
    """An integer dimension of at least 1; raises Reject otherwise."""
    if not isinstance(dim, int):
        raise Reject(f"needs a known {name}, not `{dim}`", operand)
    if dim < 1:
        raise Reject(f"needs a {name} of at least 1, but has {dim}", operand)
    return dim


def _check_settings(window: tuple[int, int], attrs: Mapping[str, Any]) -> None:
    pairs = {"window": window, "stride": attrs["stride"], "dilation": attrs.get("dilation", (1, 1))}
    for name, pair in pairs.items():
        if not _is_pair(pair, least=1):
            raise Reject(f"needs a {name} of two integers of at least 1, not {pair}")
    padding = attrs["padding"]
    if len(padding) != 2 or not all(_is_pair(side, least=0) for side in padding):
        raise Reject(
            f"needs a padding of ((top, bottom), (left, right)), none negative, not {padding}"
        )


def _is_pair(value: Any, least: int) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(n, int) and n >= least for n in value)
    )


def _check_fit(axis: Axis, name: str, image: TensorType, operand: int | None) -> None:
    if axis.padded >= axis.extent:
        return
    least = axis.extent - axis.before - axis.after
    padding = f" and a padding of {axis.before} + {axis.after}" if axis.before + axis.after else ""
    raise Reject(
        f"needs a {name} of at least {least} for a window that spans {axis.extent}{padding}, "
        f"but is {image}",
        operand,
    )
