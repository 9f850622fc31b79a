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
    """Each group is a product of its own; their columns lie side by side."""
    first, second = (buffers[k] for k in instruction.operands)
    result = buffers[instruction.results[0]]
    if result.type.dtype not in FUSED:
        return None
    found = {"conv": _forward, "conv_input_grad": _input_grad, "conv_weight_grad": _weight_grad}
    product = found[instruction.op](instruction, first, second, result)
    return (product.launch([first, second], result),)


def _forward(instruction: Instruction, x: Buffer, w: Buffer, y: Buffer) -> Product:
    """Rows are pixels of the result; summed over are the window's elements, channel by channel."""
    axes, result, window = _geometry(instruction, x, w)
    seen = Side(_SEEN, True, _pixels(axes, x.type.sizes, result, window, "x", "k"))
    return _of_groups(instruction, y, w.type.sizes[-1], result, window, seen)


def _weight_grad(instruction: Instruction, x: Buffer, g: Buffer, w: Buffer) -> Product:
    """Rows are elements of the window, channel by channel; summed over are pixels of `g`."""
    axes, result, window = _geometry(instruction, x, w)
    seen = Side(_SEEN, False, _pixels(axes, x.type.sizes, result, window, "k", "x"))
    return _of_groups(instruction, w, w.type.sizes[-1], window, result, seen)


def _geometry(
    instruction: Instruction, x: Buffer, w: Buffer
) -> tuple[tuple[Axis, ...], Sizes, Sizes]:
    """The axes, the positions of the result [image, *axes], and those of a window [*axes, channel
    of the group]."""
    axes = axes_of(x.type.sizes, w.type.sizes[:-2], instruction.attrs)
    return axes, (x.type.sizes[0], *_steps(axes)), (*_window(axes), w.type.sizes[-2])


def _of_groups(
    instruction: Instruction, out: Buffer, filters: int, rows: Sizes, summed: Sizes, seen: Side
) -> Product:
    """What is seen times what has the filters in its columns."""
    groups = instruction.attrs["groups"]
    return Product(
        out.type.dtype, (groups,), prod(rows), filters // groups, prod(summed), seen,
        _of_group("k", filters, groups), _beside(filters, groups))


def _input_grad(instruction: Instruction, g: Buffer, w: Buffer, x: Buffer) -> Product:
    """Rows are pixels of the image; summed over are the window's elements, filter by filter."""
    axes = axes_of(x.type.sizes, w.type.sizes[:-2], instruction.attrs)
    images, *sizes, channels = x.type.sizes
    depth, filters, groups = w.type.sizes[-2], w.type.sizes[-1], instruction.attrs["groups"]
    own = filters // groups
    left = tuple(_windows_over(axes, images, sizes, filters, own))
    right = f"I1[(k / {own} * {depth} + x) * {filters} + b0 * {own} + k % {own}]"
    return Product(
        x.type.dtype, (groups,), images * prod(sizes), depth, prod(_window(axes)) * own,
        Side(_SEEN, True, left), Side(right, True), _beside(channels, groups))


_SEEN = "inside ? I0[seen] : 0"


def _of_group(row: str, filters: int, groups: int) -> Side:
    """The filters of a group, from rows that have those of all groups."""
    return Side(f"I1[{row} * {filters} + b0 * {filters // groups} + x]", along_k=False)


def _beside(columns: int, groups: int) -> str:
    return f"y * {columns} + b0 * {columns // groups} + x"


def _pixels(
    axes: Sequence[Axis], image: Sizes, result: Sizes, window: Sizes, result_at: str,
    window_at: str,
) -> tuple[str, ...]:
    """The pixel that is seen from a position of the result [image, *axes] with an element of the
    window [*axes, channel of the group]."""
    count = len(axes)
    lines = [
        *positions("p", f"(unsigned){result_at}", result),
        *positions("w", f"(unsigned){window_at}", window)]
    lines += [
        f"const int s{n} = (int)p{n} * {axis.stride} + (int)w{n - 1} * {axis.dilation} - "
        f"{axis.before};" for n, axis in enumerate(axes, 1)]
    lines.append(f"const int s0 = p0, s{count + 1} = b0 * {window[-1]} + w{count};")
    inside = [f"s{n} >= 0 && s{n} < {axis.size}" for n, axis in enumerate(axes, 1)]
    return (*lines, *_seen(image, inside))


def _windows_over(
    axes: Sequence[Axis], images: int, sizes: Sequence[int], filters: int, own: int
) -> Iterator[str]:
    """The position from which a window sees pixel `x` with its element `k`, if there is one; the
    group has its `own` of the filters."""
    yield from positions("p", "(unsigned)x", (images, *sizes))
    yield from positions("w", "(unsigned)k", (*_window(axes), own))
    inside = []
    for n, axis in enumerate(axes, 1):
        yield f"const int d{n} = (int)p{n} + {axis.before} - (int)w{n - 1} * {axis.dilation};"
        yield f"const int s{n} = d{n} / {axis.stride};"
        inside.append(f"d{n} >= 0 && s{n} < {axis.steps} && d{n} % {axis.stride} == 0")
    yield f"const int s0 = p0, s{len(axes) + 1} = b0 * {own} + w{len(axes)};"
    yield from _seen((images, *_steps(axes), filters), inside)


def _seen(sizes: Sequence[int], inside: Sequence[str]) -> Iterator[str]:
    strides = [prod(sizes[axis + 1 :]) for axis in range(len(sizes))]
    yield f"const bool inside = {' && '.join(inside)};"
    yield f"const int seen = {offset('s', strides)};"


def _steps(axes: Sequence[Axis]) -> Sizes:
    return tuple(axis.steps for axis in axes)


def _window(axes: Sequence[Axis]) -> Sizes:
    return tuple(axis.window for axis in axes)
