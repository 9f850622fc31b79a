"""The NumPy kernels of pooling: tap by tap, over all windows of a block of images at once.

Windows are combined along one axis after the other, so that the work grows with the sum of the
window's sizes and not with their product.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np

from flowc_runtime.ops.op import Array, Attrs, Types
from flowc_runtime.ops.scratch import Part, carve, scratch_size
from flowc_runtime.ops.window import Axis, axes_of, block_images, image_blocks, taps

Arrays = Sequence[Array]
Sizes = tuple[int, ...]
Pair = tuple[tuple[slice, ...], tuple[slice, ...]]  # what a tap sees, and from where
EVERY = slice(None)


def max_pool(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    (x,), (y,) = ins, outs
    _reduce(y, x, axes_of(x.shape, attrs["window"], attrs), np.maximum, -np.inf, scratch)


def avg_pool(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    (x,), (y,) = ins, outs
    axes = axes_of(x.shape, attrs["window"], attrs)
    total, scratch = _totals(y, scratch)
    _reduce(total, x, axes, np.add, 0, scratch)
    np.divide(total, _count(axes, attrs["counted"], total.dtype), out=y, casting="same_kind")


def _totals(y: Array, scratch: Array) -> tuple[Array, Array]:
    """Where `y` is summed, and the scratch that is left: f16 is summed in f32."""
    if y.dtype != np.float16:
        return y, scratch
    wide = Part(y.shape, np.dtype(np.float32))
    (total,) = carve(scratch, [wide])
    return total, scratch[scratch_size([wide]) :]


def _reduce(
    y: Array, x: Array, axes: Sequence[Axis], combine: np.ufunc, empty: float, scratch: Array
) -> None:
    """Combines along the first axis first: its taps are runs of whole rows."""
    shapes = _forwards(x.shape[1:], axes)
    parts = _parts(len(x), shapes[:-1], y.dtype)
    rooms = list(carve(scratch, parts))
    for images in image_blocks(len(x), _largest_bytes(shapes[:-1], y.dtype)):
        source = x[images]
        targets = [*(room[: len(source)] for room in rooms), y[images]]
        for at, (axis, target) in enumerate(zip(axes, targets, strict=True)):
            _combine(target, source, _pairs(axis, at), combine, empty)
            source = target


def _combine(
    target: Array, source: Array, pairs: Sequence[Pair], combine: np.ufunc, empty: float
) -> None:
    target.fill(empty)
    for seen, seen_from in pairs:
        combine(target[seen_from], source[seen], out=target[seen_from])


def _pairs(axis: Axis, at: int) -> list[Pair]:
    """What the taps of the axis number `at` see, and from where."""
    before = (EVERY,) * (1 + at)
    reached = [axis.reach(tap) for tap in range(axis.window)]
    return [((*before, seen), (*before, seen_from)) for seen, seen_from in reached]


def _forwards(image: Sizes, axes: Sequence[Axis]) -> list[Sizes]:
    """The shapes of one image after the windows of the first axis, of the first two, and so on."""
    steps = tuple(axis.steps for axis in axes)
    return [(*steps[: k + 1], *image[k + 1 :]) for k in range(len(axes))]


def _parts(images: int, shapes: Sequence[Sizes], dtype: np.dtype) -> list[Part]:
    """Rooms for a block of images, one for each shape."""
    block = block_images(images, _largest_bytes(shapes, dtype))
    return [Part((block, *shape), dtype) for shape in shapes]


def _largest_bytes(shapes: Sequence[Sizes], dtype: np.dtype) -> int:
    return max((prod(shape) for shape in shapes), default=1) * dtype.itemsize


def scratch_max_pool(types: Types, results: Types, attrs: Attrs) -> int:
    (x,) = types
    return scratch_size(_forward_parts(x.sizes, attrs, x.storage))


def scratch_avg_pool(types: Types, results: Types, attrs: Attrs) -> int:
    (x,), (y,) = types, results
    if x.dtype != "f16":
        return scratch_size(_forward_parts(x.sizes, attrs, x.storage))
    wide: np.dtype = np.dtype(np.float32)
    return scratch_size([Part(y.sizes, wide), *_forward_parts(x.sizes, attrs, wide)])


def _forward_parts(images: Sizes, attrs: Attrs, dtype: np.dtype) -> list[Part]:
    axes = axes_of(images, attrs["window"], attrs)
    return _parts(images[0], _forwards(images[1:], axes)[:-1], dtype)


def max_pool_grad(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    """Back the way that the maxima came, the last axis combined first.

    That way the first maximum of a window is the first row by row.
    """
    (x, y, g), (out,) = ins, outs
    axes = axes_of(x.shape, attrs["window"], attrs)
    stages, shapes = _stages(axes), _between(x.shape[1:], axes)
    masks, between = _max_grad_parts(len(x), y.shape[1:], shapes, x.dtype)
    met, wanted, bits, *rooms = carve(scratch, (*masks, *between))
    for images in image_blocks(len(x), _largest_bytes([*shapes, y.shape[1:]], x.dtype)):
        here = [room[: images.stop - images.start] for room in rooms]
        values = [x[images], *here[::2], y[images]]
        flows = [out[images], *here[1::2], g[images]]
        for k, pairs in enumerate(stages[:-1]):
            _combine(values[k + 1], values[k], pairs, np.maximum, -np.inf)
        for k in reversed(range(len(stages))):
            if not _tile(axes):
                flows[k].fill(0)
            choice = _Choice(*(_like(room, flows[k + 1]) for room in (met, wanted, bits)))
            _send(flows[k], flows[k + 1], values[k], values[k + 1], stages[k], choice, _tile(axes))


def _stages(axes: Sequence[Axis]) -> list[list[Pair]]:
    """The taps along each axis, the last one first; where windows tile, all taps at once."""
    if _tile(axes):
        return [[(tap.pixels, tap.positions) for tap in taps(axes)]]
    return [_pairs(axis, at) for at, axis in reversed(list(enumerate(axes)))]


def _between(image: Sizes, axes: Sequence[Axis]) -> list[Sizes]:
    """The shapes of one image between the stages."""
    if _tile(axes):
        return []
    steps = tuple(axis.steps for axis in axes)
    return [(*image[:k], *steps[k:], image[-1]) for k in range(len(axes) - 1, 0, -1)]


class _Choice(NamedTuple):
    """Where a tap meets the maximum; where no earlier tap did; the first such as 0 and 1."""

    met: Array
    wanted: Array
    bits: Array


def _send(
    target: Array,
    g: Array,
    source: Array,
    maximum: Array,
    pairs: Sequence[Pair],
    choice: _Choice,
    tile: bool,
) -> None:
    """Sends each element of `g` to where `source` is the first `maximum` of its window.

    It is selected by multiplying its bits by 0 or 1. A product of floats is no faster, and makes
    NaN of the zeros where `g` is infinite; a copy under a mask takes four times as long.
    """
    met, wanted, bits = choice
    wanted.fill(True)
    for seen, seen_from in pairs:
        first, chosen = met[seen_from], bits[seen_from]
        np.equal(source[seen], maximum[seen_from], out=first)
        np.logical_and(first, wanted[seen_from], out=first)
        np.logical_xor(wanted[seen_from], first, out=wanted[seen_from])
        np.copyto(chosen, first.view(np.int8))
        flow, reached = g[seen_from].view(bits.dtype), target[seen]
        np.multiply(flow, chosen, out=reached.view(bits.dtype) if tile else chosen)
        if not tile:
            np.add(reached, chosen.view(target.dtype), out=reached)


def _max_grad_parts(
    images: int, result: Sizes, shapes: Sequence[Sizes], dtype: np.dtype
) -> tuple[list[Part], list[Part]]:
    """Of a block of images: the parts of a choice; maximum and gradient between the stages."""
    largest = max([*shapes, result], key=prod)
    block = block_images(images, prod(largest) * dtype.itemsize)
    boolean: np.dtype = np.dtype(np.bool_)
    bits = np.dtype(f"i{dtype.itemsize}")  # integers as wide as the floats
    size = (block * prod(largest),)
    masks = [Part(size, boolean), Part(size, boolean), Part(size, bits)]
    return masks, [Part((block, *shape), dtype) for shape in shapes for _ in range(2)]


def scratch_max_pool_grad(types: Types, results: Types, attrs: Attrs) -> int:
    x, y, _ = types
    axes = axes_of(x.sizes, attrs["window"], attrs)
    shapes = _between(x.sizes[1:], axes)
    masks, between = _max_grad_parts(x.sizes[0], y.sizes[1:], shapes, x.storage)
    return scratch_size((*masks, *between))


def avg_pool_grad(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    (g,), (out,) = ins, outs
    axes = axes_of(out.shape, attrs["window"], attrs)
    counted = _count(axes, attrs["counted"], g.dtype)
    stages, shapes = _stages(axes), [*_between(out.shape[1:], axes), g.shape[1:]]
    rooms = list(carve(scratch, _parts(len(g), shapes, g.dtype)))
    for images in image_blocks(len(g), _largest_bytes(shapes, g.dtype)):
        flows = [out[images], *(room[: images.stop - images.start] for room in rooms)]
        np.divide(g[images], counted, out=flows[-1])
        for k in reversed(range(len(stages))):
            _spread(flows[k], flows[k + 1], stages[k], _tile(axes))


def _spread(target: Array, share: Array, pairs: Sequence[Pair], tile: bool) -> None:
    if not tile:
        target.fill(0)
    for seen, seen_from in pairs:
        if tile:
            np.copyto(target[seen], share[seen_from])
        else:
            np.add(target[seen], share[seen_from], out=target[seen])


def scratch_avg_pool_grad(types: Types, results: Types, attrs: Attrs) -> int:
    (g,), (x,) = types, results
    axes = axes_of(x.sizes, attrs["window"], attrs)
    shapes = [*_between(x.sizes[1:], axes), g.sizes[1:]]
    return scratch_size(_parts(g.sizes[0], shapes, g.storage))


def _count(axes: Sequence[Axis], counted: Sequence[tuple[int, int]], dtype: np.dtype) -> Array:
    """The number of elements that each window counts, [*positions, 1]."""
    count = np.ones((1,) * (len(axes) + 1), dtype)
    for at, (axis, sides) in enumerate(zip(axes, counted, strict=True)):
        count = count * axis.seen(*sides).reshape(-1, *(1,) * (len(axes) - at))
    return count.astype(dtype)


def _tile(axes: Sequence[Axis]) -> bool:
    """Whether every pixel lies in exactly one window, so that gradients need not be added."""
    return all(
        a.padded == a.size == a.steps * a.window and a.stride == a.window and a.dilation == 1
        for a in axes
    )


def _like(room: Array, array: Array) -> Array:
    """The start of a flat `room` in the shape of `array`."""
    return room[: array.size].reshape(array.shape)
