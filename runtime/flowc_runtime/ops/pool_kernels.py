"""The NumPy kernels of pooling: tap by tap, over all windows of a block of images at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from flowc_runtime.ops.op import Array, Attrs, Types
from flowc_runtime.ops.scratch import Part, carve, scratch_size
from flowc_runtime.ops.window import Axis, axes_of, block_images, image_blocks, taps

Arrays = Sequence[Array]


def max_pool(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    (x,), (y,) = ins, outs
    axes = axes_of(x.shape, attrs["window"], attrs)
    _reduce(y, x, axes, np.maximum, -np.inf, scratch)


def avg_pool(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    (x,), (y,) = ins, outs
    axes = axes_of(x.shape, attrs["window"], attrs)
    _reduce(y, x, axes, np.add, 0, scratch)
    np.divide(y, _counted(axes, attrs["count_padding"], y.dtype), out=y)


def _reduce(
    y: Array, x: Array, axes: tuple[Axis, Axis], combine: np.ufunc, empty: float, scratch: Array
) -> None:
    """Combines the rows of each window, then its columns: the first in runs of whole rows."""
    height, width = axes
    (room,) = carve(scratch, [_rows_part(x.shape, height, x.dtype)])
    for images in image_blocks(len(x), _rows_bytes(x.shape, height, x.dtype)):
        source, target = x[images], y[images]
        rows = room[: len(source)]
        rows.fill(empty)
        for tap in range(height.window):
            seen, seen_from = height.reach(tap)
            combine(rows[:, seen_from], source[:, seen], out=rows[:, seen_from])
        target.fill(empty)
        for tap in range(width.window):
            seen, seen_from = width.reach(tap)
            combine(target[:, :, seen_from], rows[:, :, seen], out=target[:, :, seen_from])


def _rows_part(image: tuple[int, ...], height: Axis, dtype: np.dtype) -> Part:
    images = block_images(image[0], _rows_bytes(image, height, dtype))
    return Part((images, height.steps, *image[2:]), dtype)


def _rows_bytes(image: tuple[int, ...], height: Axis, dtype: np.dtype) -> int:
    return height.steps * prod(image[2:]) * dtype.itemsize


def scratch_pool(types: Types, results: Types, attrs: Attrs) -> int:
    (x,) = types
    height, _ = axes_of(x.shape, attrs["window"], attrs)
    return scratch_size([_rows_part(x.sizes, height, x.storage)])


def max_pool_grad(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    (x, y, g), (out,) = ins, outs
    axes = axes_of(x.shape, attrs["window"], attrs)
    tiled = _tile(axes)
    put = _write_chosen if tiled else _add_chosen
    if not tiled:
        out.fill(0)
    met, wanted, mask = carve(scratch, _max_grad_parts(y.shape, y.dtype))
    for images in image_blocks(len(y), prod(y.shape[1:]) * y.itemsize):
        wanted.fill(True)
        for tap in taps(*axes):
            pixels, here = x[images][tap.pixels], tap.positions
            first = _part_of(met, pixels)
            _meet(first, wanted[: len(pixels)][here], pixels, y[images][here])
            chosen = _part_of(mask, pixels)
            np.copyto(chosen, first.view(np.int8))
            put(out[images][tap.pixels], g[images][here].view(mask.dtype), chosen)


def _meet(first: Array, wanted: Array, pixels: Array, maximum: Array) -> None:
    """`first`: where `pixels` is the maximum and no earlier tap was, by `wanted`; updates that."""
    np.equal(pixels, maximum, out=first)
    np.logical_and(first, wanted, out=first)
    np.logical_xor(wanted, first, out=wanted)


# Both select by multiplying the bits of `g` by 0 or 1. A product of floats is no faster, and
# makes NaN of the zeros where `g` is infinite; a copy under a mask takes four times as long.


def _write_chosen(target: Array, g: Array, chosen: Array) -> None:
    np.multiply(g, chosen, out=target.view(chosen.dtype))


def _add_chosen(target: Array, g: Array, chosen: Array) -> None:
    np.multiply(g, chosen, out=chosen)
    np.add(target, chosen.view(target.dtype), out=target)


def _max_grad_parts(shape: tuple[int, ...], dtype: np.dtype) -> tuple[Part, Part, Part]:
    """For a block: where the tap meets the maximum, where no tap has, and the first as 0 and 1."""
    images = block_images(shape[0], prod(shape[1:]) * dtype.itemsize)
    block = (images, *shape[1:])
    boolean: np.dtype = np.dtype(np.bool_)
    bits = np.dtype(f"i{dtype.itemsize}")  # integers as wide as the floats
    return Part(block, boolean), Part(block, boolean), Part(block, bits)


def scratch_max_pool_grad(types: Types, results: Types, attrs: Attrs) -> int:
    return scratch_size(_max_grad_parts(types[1].sizes, types[1].storage))


def avg_pool_grad(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    (g,), (out,) = ins, outs
    axes = axes_of(out.shape, attrs["window"], attrs)
    counted = _counted(axes, attrs["count_padding"], g.dtype)
    tiled = _tile(axes)
    put = np.copyto if tiled else _add
    if not tiled:
        out.fill(0)
    (room,) = carve(scratch, [_share_part(g.shape, g.dtype)])
    for images in image_blocks(len(g), prod(g.shape[1:]) * g.itemsize):
        share = room[: images.stop - images.start]
        np.divide(g[images], counted, out=share)
        for tap in taps(*axes):
            put(out[images][tap.pixels], share[tap.positions])


def _add(target: Array, share: Array) -> None:
    np.add(target, share, out=target)


def _counted(axes: tuple[Axis, Axis], count_padding: bool, dtype: np.dtype) -> Array:
    """The number of elements that each window counts, [rows, columns, 1]."""
    height, width = axes
    if count_padding or all(a.padded == a.size for a in axes):
        return np.full((1, 1, 1), height.window * width.window, dtype)
    rows, columns = (_seen(axis) for axis in axes)
    counted: Array = (rows[:, None, None] * columns[:, None]).astype(dtype)
    return counted


def _seen(axis: Axis) -> Array:
    """For each position, the taps that see the image and not its padding."""
    counts = np.zeros(axis.steps)
    for tap in range(axis.window):
        counts[axis.reach(tap)[1]] += 1
    return counts


def _share_part(shape: tuple[int, ...], dtype: np.dtype) -> Part:
    images = block_images(shape[0], prod(shape[1:]) * dtype.itemsize)
    return Part((images, *shape[1:]), dtype)


def scratch_avg_pool_grad(types: Types, results: Types, attrs: Attrs) -> int:
    return scratch_size([_share_part(types[0].sizes, types[0].storage)])


def _tile(axes: tuple[Axis, Axis]) -> bool:
    """Whether every pixel lies in exactly one window, so that gradients need not be added."""
    return all(a.padded == a.size == a.steps * a.window and a.stride == a.window for a in axes)


def _part_of(room: Array, like: Array) -> Array:
    """A corner of `room` with the shape of `like`."""
    images, rows, columns, _ = like.shape
    return room[:images, :rows, :columns]
