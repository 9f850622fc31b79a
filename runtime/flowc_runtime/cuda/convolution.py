"""Convolutions along one to three axes, and their gradients, as products of implicit matrices."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from flowc_runtime.cuda.kernel import Launch
from flowc_runtime.cuda.products import FUSED, Product, Side
from flowc_runtime.cuda.text import offset, positions
from flowc_runtime.ops.window import Axis, axes_of
from flowc_runtime.plan import Buffer, Instruction

Sizes = tuple[int, ...]


def conv_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    """None for convolutions in groups."""
    first, second = (buffers[k] for k in instruction.operands)
    result = buffers[instruction.results[0]]
    if instruction.attrs["groups"] != 1 or result.type.dtype not in FUSED:
        return None
    found = {"conv": _forward, "conv_input_grad": _input_grad, "conv_weight_grad": _weight_grad}
    product = found[instruction.op](instruction, first, second, result)
    return (product.launch([first, second], result),)


def _forward(instruction: Instruction, x: Buffer, w: Buffer, y: Buffer) -> Product:
    """Rows are pixels of the result; summed over are the window's elements, channel by channel."""
    axes = axes_of(x.type.sizes, w.type.sizes[:-2], instruction.attrs)
    images, *_, channels = x.type.sizes
    filters = w.type.sizes[-1]
    steps, window = _steps(axes), _window(axes)
    pixels = _Pixels(axes, channels)
    left = pixels.side((images, *steps), (*window, channels), "x", "k", along_k=True)
    right = Side(f"I1[k * {filters} + x]", along_k=False)
    return Product(
        y.type.dtype, (), images * prod(steps), filters, prod(window) * channels, left, right)


def _weight_grad(instruction: Instruction, x: Buffer, g: Buffer, w: Buffer) -> Product:
    """Rows are elements of the window, channel by channel; summed over are pixels of `g`."""
    axes = axes_of(x.type.sizes, w.type.sizes[:-2], instruction.attrs)
    images, *_, channels = x.type.sizes
    filters = w.type.sizes[-1]
    steps, window = _steps(axes), _window(axes)
    pixels = _Pixels(axes, channels)
    left = pixels.side((images, *steps), (*window, channels), "k", "x", along_k=False)
    right = Side(f"I1[k * {filters} + x]", along_k=False)
    return Product(
        w.type.dtype, (), prod(window) * channels, filters, images * prod(steps), left, right)


def _input_grad(instruction: Instruction, g: Buffer, w: Buffer, x: Buffer) -> Product:
    """Rows are pixels of the image; summed over are the window's elements, filter by filter."""
    axes = axes_of(x.type.sizes, w.type.sizes[:-2], instruction.attrs)
    images, *sizes, channels = x.type.sizes
    filters = w.type.sizes[-1]
    window = _window(axes)
    left = Side(
        "inside ? I0[seen] : 0", True, tuple(_windows_over(axes, images, sizes, filters)))
    right = Side(f"I1[(k / {filters} * {channels} + x) * {filters} + k % {filters}]", along_k=True)
    return Product(
        x.type.dtype, (), images * prod(sizes), channels, prod(window) * filters, left, right)


class _Pixels:
    """Elements of an image as windows see them."""

    def __init__(self, axes: Sequence[Axis], channels: int):
        self.axes, self.channels = axes, channels

    def side(
        self, result: Sizes, window: Sizes, result_at: str, window_at: str, along_k: bool
    ) -> Side:
        """At a position of the result [image, *axes] and one of the window [*axes, channel]."""
        return Side("inside ? I0[seen] : 0", along_k, tuple(
            self._lines(result, window, result_at, window_at)))

    def _lines(
        self, result: Sizes, window: Sizes, result_at: str, window_at: str
    ) -> Iterator[str]:
        yield from positions("p", f"(unsigned){result_at}", result)
        yield from positions("w", f"(unsigned){window_at}", window)
        for n, axis in enumerate(self.axes):
            yield (f"const int s{n + 1} = (int)p{n + 1} * {axis.stride} + "
                   f"(int)w{n} * {axis.dilation} - {axis.before};")  # fmt: skip
        count = len(self.axes)
        yield f"const int s0 = p0, s{count + 1} = w{count};"
        sizes = (result[0], *(a.size for a in self.axes), self.channels)
        yield from _seen(sizes, [f"s{n + 1} >= 0 && s{n + 1} < {a.size}"
                                 for n, a in enumerate(self.axes)])  # fmt: skip


def _windows_over(
    axes: Sequence[Axis], images: int, sizes: Sequence[int], filters: int
) -> Iterator[str]:
    """The position from which a window sees pixel `x` with its element `k`, if there is one."""
    yield from positions("p", "(unsigned)x", (images, *sizes))
    yield from positions("w", "(unsigned)k", (*_window(axes), filters))
    inside = []
    for n, axis in enumerate(axes, 1):
        yield f"const int d{n} = (int)p{n} + {axis.before} - (int)w{n - 1} * {axis.dilation};"
        yield f"const int s{n} = d{n} / {axis.stride};"
        inside.append(f"d{n} >= 0 && s{n} < {axis.steps} && d{n} % {axis.stride} == 0")
    yield f"const int s0 = p0, s{len(axes) + 1} = w{len(axes)};"
    yield from _seen((images, *_steps(axes), filters), inside)


def _seen(sizes: Sequence[int], inside: Sequence[str]) -> Iterator[str]:
    strides = [prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    yield f"const bool inside = {' && '.join(inside)};"
    yield f"const int seen = {offset('s', strides)};"


def _steps(axes: Sequence[Axis]) -> Sizes:
    return tuple(axis.steps for axis in axes)


def _window(axes: Sequence[Axis]) -> Sizes:
    return tuple(axis.window for axis in axes)
