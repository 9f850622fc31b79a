"""Depthwise convolution: every channel has its own filter, so taps are shifted products."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from flowc_runtime.ops.conv_columns import Convolution
from flowc_runtime.ops.op import Array
from flowc_runtime.ops.scratch import Part, carve
from flowc_runtime.ops.window import Slices, block_images, image_blocks, taps


class Move(NamedTuple):
    """What one tap does: read `source`, times its weights, added to `target`."""

    tap: tuple[int, ...]
    source: Slices
    target: Slices


def depthwise_parts(conv: Convolution, dtype: np.dtype) -> tuple[Part, Part]:
    """The products of one tap, and the kernel repeated along the last axis of the output.

    Repeating it makes the runs of the products as long as that axis: 1.6 times as fast with 32
    channels.
    """
    images = block_images(conv.images, _image_bytes(conv, dtype))
    return (
        Part((images, *conv.steps, conv.channels), dtype),
        Part((*conv.windows, conv.steps[-1], conv.channels), dtype),
    )


def forward(out: Array, x: Array, w: Array, conv: Convolution, scratch: Array) -> None:
    moves = [Move(t.index, t.pixels, t.positions) for t in taps(conv.axes)]
    _add_products(out, x, w, moves, conv, scratch)


def input_grad(out: Array, g: Array, w: Array, conv: Convolution, scratch: Array) -> None:
    moves = [Move(t.index, t.positions, t.pixels) for t in taps(conv.axes)]
    _add_products(out, g, w, moves, conv, scratch)


def weight_grad(out: Array, x: Array, g: Array, conv: Convolution) -> None:
    axes = "npqr"[: x.ndim - 1] + "c"
    for t in taps(conv.axes):
        np.einsum(f"{axes},{axes}->c", x[t.pixels], g[t.positions], out=out[t.index][0])


def _add_products(
    out: Array, x: Array, w: Array, moves: Iterable[Move], conv: Convolution, scratch: Array
) -> None:
    products, weights = carve(scratch, depthwise_parts(conv, x.dtype))
    np.copyto(weights, w)
    out.fill(0)
    for images in image_blocks(conv.images, _image_bytes(conv, x.dtype)):
        for move in moves:
            seen, reached = x[images][move.source], out[images][move.target]
            product = products[tuple(map(slice, seen.shape))]
            np.multiply(seen, weights[move.tap][: seen.shape[-2]], out=product)
            np.add(reached, product, out=reached)


def _image_bytes(conv: Convolution, dtype: np.dtype) -> int:
    return conv.pixels * conv.channels * dtype.itemsize
