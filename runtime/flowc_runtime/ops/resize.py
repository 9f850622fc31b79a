"""Resizing along one to three axes, by the nearest element or linearly, and its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from flowc_runtime.ops.op import (
    Array,
    Attr,
    Attrs,
    Cost,
    Emit,
    Forward,
    Op,
    Reject,
    Sample,
    Types,
    bytes_moved,
)
from flowc_runtime.ops.rules import need_dtype
from flowc_runtime.ops.scratch import Part, carve, scratch_size
from flowc_runtime.ops.window import NAMES, block_images, check_image, image_blocks
from flowc_runtime.types import FLOATS, TensorType

Arrays = Sequence[Array]
Sizes = tuple[int, ...]
METHODS = ("linear", "floor", "ceil", "round", "round_up")
_SETTINGS = (
    Attr("ratio", "along each axis (a, b): a elements of `x` become b of the result"),
    Attr("shift", "where the coordinates of an element lie: 0.5 its centre, 0 its beginning"),
    Attr("method", f"how to take an element between others: {', '.join(METHODS)}"),
)


class _Sources(NamedTuple):
    """For each position along an axis: two neighbours, and the weight of the second."""

    low: Array
    high: Array
    weight: Array


def _sources(old: int, new: int, ratio: Sequence[float], shift: float, method: str) -> _Sources:
    """Where each of `new` positions looks among `old` elements; what lies outside is clamped."""
    a, b = ratio
    place = np.clip((np.arange(new) + shift) * a / b - shift, 0, old - 1)
    match method:
        case "linear":
            low = np.floor(place)
        case "floor" | "ceil":
            low = getattr(np, method)(place)
        case "round":
            low = np.ceil(place - 0.5)
        case _:
            low = np.floor(place + 0.5)
    weight = place - low if method == "linear" else np.zeros(new)
    first = low.astype(np.intp)
    return _Sources(first, np.minimum(first + 1, old - 1), weight)


def _all_sources(old: Sizes, new: Sizes, attrs: Attrs) -> list[_Sources]:
    return [
        _sources(a, b, ratio, attrs["shift"], attrs["method"])
        for a, b, ratio in zip(old, new, attrs["ratio"], strict=True)
    ]


# Kernels: one axis after the other, for a block of images.


def _run_resize(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    (x,), (y,) = ins, outs
    sources = _all_sources(x.shape[1:-1], y.shape[1:-1], attrs)
    other, *rooms = carve(scratch, _parts(x.shape, y.shape, x.dtype))
    for images in image_blocks(len(x), _largest_bytes(x.shape, y.shape, x.dtype)):
        source = x[images]
        for at, along in enumerate(sources, 1):
            last = at == len(sources)
            target = y[images] if last else rooms[at - 1][: len(source)]
            _take(target, source, along, at, other)
            source = target


def _take(target: Array, source: Array, along: _Sources, axis: int, room: Array) -> None:
    """The elements at `low`, and so much of the way to those at `high` as the weight says."""
    np.take(source, along.low, axis, out=target, mode="clip")
    if not along.weight.any():
        return
    way = room[: target.size].reshape(target.shape)
    np.take(source, along.high, axis, out=way, mode="clip")
    np.subtract(way, target, out=way)
    np.multiply(way, _upright(along.weight, target, axis), out=way)
    np.add(target, way, out=target)


def _upright(weight: Array, like: Array, axis: int) -> Array:
    shape = [1] * like.ndim
    shape[axis] = len(weight)
    return weight.reshape(shape).astype(like.dtype)


def _run_resize_grad(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    (g,), (out,) = ins, outs
    sources = _all_sources(out.shape[1:-1], g.shape[1:-1], attrs)
    other, *rooms = carve(scratch, _parts(out.shape, g.shape, g.dtype))
    for images in image_blocks(len(g), _largest_bytes(out.shape, g.shape, g.dtype)):
        flow = g[images]
        for at in range(len(sources), 0, -1):
            target = out[images] if at == 1 else rooms[at - 2][: len(flow)]
            target.fill(0)
            _give(target, flow, sources[at - 1], at, other)
            flow = target


def _give(target: Array, flow: Array, along: _Sources, axis: int, room: Array) -> None:
    """Adds each position's share to its neighbours, in order."""
    if not along.weight.any():
        _add_at(target, flow, along.low, axis)
        return
    share = room[: flow.size].reshape(flow.shape)
    for weight, index in ((1 - along.weight, along.low), (along.weight, along.high)):
        np.multiply(flow, _upright(weight, flow, axis), out=share)
        _add_at(target, share, index, axis)


def _add_at(target: Array, share: Array, index: Array, axis: int) -> None:
    reached, given = np.moveaxis(target, axis, 0), np.moveaxis(share, axis, 0)
    for position, element in enumerate(index):
        np.add(reached[element], given[position], out=reached[element])


def _shapes(old: Sizes, new: Sizes) -> list[Sizes]:
    """The shapes of one image after the first axis, the first two, ..., all; channels included."""
    count = len(old) - 2
    return [(*new[1 : k + 1], *old[k + 1 :]) for k in range(1, count + 1)]


def _largest_bytes(old: Sizes, new: Sizes, dtype: np.dtype) -> int:
    return max(prod(shape) for shape in _shapes(old, new)) * dtype.itemsize


def _parts(old: Sizes, new: Sizes, dtype: np.dtype) -> list[Part]:
    """A room for second neighbours, and one after each axis but the last."""
    shapes = _shapes(old, new)
    images = block_images(old[0], _largest_bytes(old, new, dtype))
    largest = max(prod(shape) for shape in shapes)
    return [Part((images * largest,), dtype), *(Part((images, *s), dtype) for s in shapes[:-1])]


def _scratch_resize(types: Types, results: Types, attrs: Attrs) -> int:
    return scratch_size(_parts(types[0].sizes, results[0].sizes, types[0].storage))


def _scratch_resize_grad(types: Types, results: Types, attrs: Attrs) -> int:
    return scratch_size(_parts(results[0].sizes, types[0].sizes, types[0].storage))


# Type rules, cost and gradients.


def _infer_resize(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, FLOATS)
    (x,) = types
    _check(x, attrs["sizes"], attrs, 0)
    return (TensorType(x.dtype, (x.shape[0], *attrs["sizes"], x.shape[-1])),)


def _infer_resize_grad(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, FLOATS)
    (g,) = types
    x = TensorType(g.dtype, attrs["shape"])
    _check(x, g.shape[1:-1], attrs, None)
    if (g.shape[0], g.shape[-1]) != (x.shape[0], x.shape[-1]):
        raise Reject(f"needs the batch and the channels of {x}, but is {g}", 0)
    return (x,)


def _check(x: TensorType, sizes: Any, attrs: Attrs, operand: int | None) -> None:
    count = len(attrs["ratio"])
    if count not in NAMES:
        raise Reject(f"needs ratios along one to three axes, not {attrs['ratio']}")
    check_image(x, NAMES[count], operand)
    if len(sizes) != count or not all(isinstance(n, int) and n >= 1 for n in sizes):
        raise Reject(f"needs {count} sizes of at least 1, not {sizes}")
    if not all(len(pair) == 2 and pair[0] >= 0 and pair[1] > 0 for pair in attrs["ratio"]):
        raise Reject(f"needs ratios of positive numbers, not {attrs['ratio']}")
    if attrs["method"] not in METHODS:
        raise Reject(f"needs one of the methods {', '.join(METHODS)}, not {attrs['method']!r}")


def _cost(types: Types, results: Types, attrs: Attrs) -> Cost:
    """Three operations for each element and axis, in the larger of the two images."""
    largest = max(prod(types[0].sizes), prod(results[0].sizes))
    return Cost(3 * len(attrs["ratio"]) * largest, bytes_moved(types, results))


def _settings(attrs: Attrs) -> dict[str, Any]:
    return {attr.name: attrs[attr.name] for attr in _SETTINGS}


def _gradient_resize(emit: Emit, at: Forward, cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
    (x,), (g,) = at.operands, cotangents
    return (emit("resize_grad", g, shape=x.type.shape, **_settings(at.attrs)),)


def _gradient_resize_grad(emit: Emit, at: Forward, cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
    (g,), (x,) = at.operands, cotangents
    return (emit("resize", x, sizes=g.type.shape[1:-1], **_settings(at.attrs)),)


_CASES: tuple[tuple[Sizes, Sizes, dict[str, Any]], ...] = (
    ((2, 3, 2, 2), (2, 5, 4, 2), {"ratio": ((3, 5), (2, 4)), "shift": 0.5, "method": "linear"}),
    ((1, 3, 4, 3), (1, 5, 2, 3), {"ratio": ((2, 4), (3, 1)), "shift": 0.0, "method": "linear"}),
    ((2, 2, 3, 1), (2, 6, 5, 1), {"ratio": ((2, 6), (3, 5)), "shift": 0.0, "method": "floor"}),
    ((2, 5, 3), (2, 3, 3), {"ratio": ((5, 3),), "shift": 0.5, "method": "round"}),
    ((1, 2, 3, 2, 2), (1, 3, 2, 4, 2),
     {"ratio": ((2, 3), (3, 2), (2, 4)), "shift": 0.5, "method": "ceil"}),
    ((2, 4, 1), (2, 6, 1), {"ratio": ((4, 6),), "shift": 0.5, "method": "round_up"}),
)  # fmt: skip


def _text(shape: Sizes) -> str:
    return f"f32[{', '.join(map(str, shape))}]"


resize = Op(
    name="resize",
    doc="""`x` [batch, *axes, channels] with other sizes along one to three axes.

Along an axis, position `o` of the result looks at `(o + shift) * a / b - shift`, clamped to the
first and the last element, where (a, b) is the `ratio`. "linear" weighs the two neighbours; the
other methods round. Half-pixel coordinates have the shift 0.5 and the ratio (size of x, size of
the result); aligned corners the shift 0 and the ratio of the sizes less 1.""",
    operands=("x",),
    infer=_infer_resize,
    kernel=_run_resize,
    gradient=_gradient_resize,
    attrs=(Attr("sizes", "of the result along each axis"), *_SETTINGS),
    cost=_cost,
    scratch_bytes=_scratch_resize,
    samples=tuple(Sample((_text(x),), {**a, "sizes": y[1:-1]}) for x, y, a in _CASES),
)

resize_grad = Op(
    name="resize_grad",
    doc="""The gradient of `resize` with respect to `x`.

`g` has the shape of `resize`'s result, `shape` is the shape of `x`. Each element of `g` is added to
the neighbours that it was made of, with their weights.""",
    operands=("g",),
    infer=_infer_resize_grad,
    kernel=_run_resize_grad,
    gradient=_gradient_resize_grad,
    attrs=(*_SETTINGS, Attr("shape", "shape of `x`")),
    cost=_cost,
    scratch_bytes=_scratch_resize_grad,
    samples=tuple(Sample((_text(y),), {**a, "shape": x}) for x, y, a in _CASES),
)

OPS = (resize, resize_grad)
