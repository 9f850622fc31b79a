"""Sliding windows: the geometry and type rules that convolution and pooling share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from flowc_runtime.dims import Dim
from flowc_runtime.ops.op import Array, Attr, Reject, size_of
from flowc_runtime.types import TensorType

# Of the temporary array of a kernel that goes tap by tap. Each block makes a few calls per tap,
# so that blocks must not be small; measured, 1 to 2 MiB are the fastest for most of them.
TAP_BYTES = 1 << 20
SETTINGS = (
    Attr("stride", "steps between windows along each axis"),
    Attr("padding", "elements put around the image, (before, after) along each axis"),
    Attr("dilation", "distance between the elements of a window along each axis"),
)
NAMES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}

Slices = tuple[slice, ...]  # of images, then of the axes that windows slide along


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

    def always_sees(self) -> bool:
        """Whether each position has a tap on the image.

        One that begins on the image has. One that begins `p` before it looks at element
        -p modulo the dilation first, if it reaches that far.
        """
        if self.before >= self.extent or (self.steps - 1) * self.stride - self.before >= self.size:
            return False
        if self.dilation <= self.size:
            return True
        count = min(-(-self.before // self.stride), self.steps)  # of those that begin before it
        rounds, short = (
            _floor_sum(count, self.stride, start, self.dilation)
            for start in (-self.before, -self.before - self.size))
        return rounds - short == count

    def seen(self, before: int = 0, after: int = 0) -> Array:
        """For each position, the taps that see the image or so much of the padding around it."""
        position = np.arange(self.steps) * self.stride - self.before
        first = np.maximum(-((position + before) // self.dilation), 0)
        stop = np.minimum(-((position - self.size - after) // self.dilation), self.window)
        counts: Array = np.maximum(stop - first, 0)
        return counts


def _floor_sum(count: int, step: int, start: int, divisor: int) -> int:
    """The sum of `(start + k * step) // divisor` over the `k` below `count`, as Euclid would."""
    total = 0
    while count:
        total += count * (count - 1) // 2 * (step // divisor) + count * (start // divisor)
        step, start = step % divisor, start % divisor
        count, start = divmod(count * step + start, divisor)
        step, divisor = divisor, step
    return total


@dataclass(frozen=True, slots=True)
class Tap:
    """One window element: the pixels that it sees, and the positions it sees them from.

    `pixels` and `positions` index [images, *axes, channels] arrays.
    """

    index: tuple[int, ...]
    pixels: Slices
    positions: Slices


def taps(axes: Sequence[Axis]) -> Iterator[Tap]:
    """All taps of a window, row by row."""
    every = slice(None)
    for index in product(*(range(axis.window) for axis in axes)):
        reached = [axis.reach(i) for axis, i in zip(axes, index, strict=True)]
        yield Tap(index, (every, *(r[0] for r in reached)), (every, *(r[1] for r in reached)))


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
    image: Sequence[Dim], window: Sequence[int], attrs: Mapping[str, Any]
) -> tuple[Axis, ...]:
    """The axes that windows over an image [batch, *axes, channels] slide along."""
    return tuple(
        Axis(size_of(size), length, stride, before, after, dilation)
        for size, length, stride, (before, after), dilation in zip(
            image[1:-1], window, attrs["stride"], attrs["padding"], attrs["dilation"], strict=True
        )
    )


def checked_axes(
    image: TensorType, window: Sequence[int], attrs: Mapping[str, Any], operand: int | None = 0
) -> tuple[Axis, ...]:
    """As `axes_of`, for a type rule: raises Reject where no window fits, blaming `operand`.

    The stride says how many axes there are.
    """
    names = axis_names(attrs)
    _check_settings(names, window, attrs)
    check_image(image, names, operand)
    axes = axes_of(image.shape, window, attrs)
    for axis, name in zip(axes, names, strict=True):
        _check_fit(axis, name, image, operand)
    return axes


def axis_names(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    """What the axes are called, as many as the stride has steps; raises Reject for no 1 to 3."""
    stride = attrs["stride"]
    if not isinstance(stride, tuple) or len(stride) not in NAMES:
        raise Reject(f"needs a stride of one to three integers, not {stride}")
    return NAMES[len(stride)]


def check_image(image: TensorType, names: Sequence[str], operand: int | None) -> None:
    """Raises Reject unless `image` is [batch, *names, channels], all but batch known."""
    if image.rank != len(names) + 2:
        raise Reject(
            f"needs the shape [batch, {', '.join(names)}, channels], but is {image}", operand
        )
    for dim, name in zip(image.shape[1:], (*names, "number of channels"), strict=True):
        known(dim, name, operand)


def known(dim: Dim, name: str, operand: int | None) -> int:
    """An integer dimension of at least 1; raises Reject otherwise."""
    if not isinstance(dim, int):
        raise Reject(f"needs a known {name}, not `{dim}`", operand)
    if dim < 1:
        raise Reject(f"needs a {name} of at least 1, but has {dim}", operand)
    return dim


def _check_settings(
    names: Sequence[str], window: Sequence[int], attrs: Mapping[str, Any]
) -> None:
    count = len(names)
    counts = {"window": window, "stride": attrs["stride"], "dilation": attrs["dilation"]}
    for name, value in counts.items():
        if not _is_counts(value, count, least=1):
            raise Reject(f"needs a {name} of {count} integers of at least 1, not {value}")
    if not is_padding(attrs["padding"], count):
        sides = ", ".join(f"({name} before, after)" for name in names)
        raise Reject(f"needs a padding of ({sides}), none negative, not {attrs['padding']}")


def is_padding(value: Any, count: int) -> bool:
    """Whether `value` is `count` pairs (before, after) of whole numbers."""
    return (
        isinstance(value, tuple)
        and len(value) == count
        and all(_is_counts(side, 2, least=0) for side in value)
    )


def _is_counts(value: Any, count: int, least: int) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == count
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
