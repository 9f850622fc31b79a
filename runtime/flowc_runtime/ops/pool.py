"""Pooling along one to three axes: the maximum or the mean of windows, and their gradients."""

from __future__ import annotations

from math import prod
from typing import Any

from flowc_runtime.ops import pool_kernels
from flowc_runtime.ops.op import (
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
from flowc_runtime.ops.window import SETTINGS, checked_axes, is_padding
from flowc_runtime.types import FLOATS, TensorType, parse_type

_SETTINGS = (Attr("window", "size of the windows along each axis"), *SETTINGS)
_COUNTED = Attr(
    "counted", "padding that counts as zeros in the mean, (before, after) along each axis"
)


# Type rules.


def _infer_max_pool(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, FLOATS)
    return (_pooled(types[0], attrs, 0),)


def _infer_max_pool_grad(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, FLOATS)
    x, y, g = types
    _check_pooled((y, g), _pooled(x, attrs, 0), first=1)
    return (x,)


def _infer_avg_pool(types: Types, attrs: Attrs) -> Types:
    pooled = _infer_max_pool(types, attrs)
    _check_counted(attrs)
    return pooled


def _infer_avg_pool_grad(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, FLOATS)
    (g,) = types
    x = TensorType(g.dtype, attrs["shape"])
    _check_pooled((g,), _pooled(x, attrs, None), first=0)
    _check_counted(attrs)
    return (x,)


def _pooled(image: TensorType, attrs: Attrs, operand: int | None) -> TensorType:
    """The type of the pooled image; raises Reject where a window sees nothing but padding."""
    axes = checked_axes(image, attrs["window"], attrs, operand)
    for axis in axes:
        if not axis.always_sees():
            raise Reject(
                f"needs a padding smaller than the window of {axis.window}, "
                f"not {axis.before} and {axis.after}: every window must see the image"
            )
    batch, channels = image.shape[0], image.shape[-1]
    return TensorType(image.dtype, (batch, *(axis.steps for axis in axes), channels))


def _check_counted(attrs: Attrs) -> None:
    counted, padding = attrs["counted"], attrs["padding"]
    if is_padding(counted, len(padding)) and all(
        n <= most for side, sides in zip(counted, padding, strict=True)
        for n, most in zip(side, sides, strict=True)
    ):  # fmt: skip
        return
    raise Reject(f"needs a counted part of the padding {padding}, not {counted}")


def _check_pooled(types: Types, pooled: TensorType, first: int) -> None:
    for operand, type in enumerate(types, first):
        if type != pooled:
            raise Reject(f"needs the type {pooled} of the result, but is {type}", operand)


# Costs: a comparison or an addition for every element of every window.


def _cost(pooled: TensorType, types: Types, results: Types, attrs: Attrs) -> Cost:
    return Cost(prod((*pooled.sizes, *attrs["window"])), bytes_moved(types, results))


def _cost_pool(types: Types, results: Types, attrs: Attrs) -> Cost:
    return _cost(results[0], types, results, attrs)


def _cost_pool_grad(types: Types, results: Types, attrs: Attrs) -> Cost:
    return _cost(types[-1], types, results, attrs)


# Gradients.


def _settings(attrs: Attrs) -> dict[str, Any]:
    return {attr.name: attrs[attr.name] for attr in _SETTINGS}


def _gradient_max_pool(emit: Emit, at: Forward, cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
    (x,), (y,), (g,) = at.operands, at.results, cotangents
    return (emit("max_pool_grad", x, y, g, **_settings(at.attrs)),)


def _mean_settings(attrs: Attrs) -> dict[str, Any]:
    return {**_settings(attrs), "counted": attrs["counted"]}


def _gradient_avg_pool(emit: Emit, at: Forward, cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
    (x,), (g,) = at.operands, cotangents
    return (emit("avg_pool_grad", g, shape=x.type.shape, **_mean_settings(at.attrs)),)


def _gradient_avg_pool_grad(
    emit: Emit, at: Forward, cotangents: tuple[Any, ...]
) -> tuple[Any, ...]:
    (x,) = cotangents
    return (emit("avg_pool", x, **_mean_settings(at.attrs)),)


# Samples: (image, result) with settings; one list for all ops.


def _case(
    image: str, result: str, window: Any, stride: Any, padding: Any = None, dilation: Any = None
) -> tuple[str, str, dict[str, Any]]:
    count = len(window)
    attrs = {
        "window": window,
        "stride": stride,
        "padding": padding or ((0, 0),) * count,
        "dilation": dilation or (1,) * count,
    }
    return f"f32[{image}]", f"f32[{result}]", attrs


_CASES = (
    _case("2, 4, 6, 3", "2, 2, 3, 3", (2, 2), (2, 2)),
    _case("2, 5, 7, 2", "2, 2, 3, 2", (2, 2), (2, 2)),
    _case("1, 5, 5, 2", "1, 3, 5, 2", (3, 3), (2, 1), ((1, 1), (1, 1))),
    _case("2, 6, 4, 1", "2, 2, 4, 1", (2, 3), (3, 1), ((1, 0), (0, 2))),
    _case("2, 7, 3", "2, 5, 3", (3,), (1,), ((1, 1),), (2,)),
    _case("1, 3, 4, 5, 2", "1, 2, 2, 3, 2", (2, 2, 3), (1, 2, 2), ((0, 0), (0, 0), (1, 1))),
)


def _counted(attrs: Attrs, at: int) -> dict[str, Any]:
    """Of every second case all padding counts, of the others none."""
    none = ((0, 0),) * len(attrs["window"])
    return {**attrs, "counted": attrs["padding"] if at % 2 else none}


def _shape(text: str) -> tuple[Any, ...]:
    return parse_type(text).shape


_MAX_SAMPLES = tuple(Sample((x,), attrs) for x, _, attrs in _CASES)
_MAX_GRAD_SAMPLES = tuple(Sample((x, y, y), attrs) for x, y, attrs in _CASES)
_AVG_SAMPLES = tuple(
    Sample((x,), _counted(attrs, at)) for at, (x, _, attrs) in enumerate(_CASES)
)
_AVG_GRAD_SAMPLES = tuple(
    Sample((y,), {**_counted(attrs, at), "shape": _shape(x)})
    for at, (x, y, attrs) in enumerate(_CASES)
)


max_pool = Op(
    name="max_pool",
    doc="""The maximum of every window of `x` [batch, *axes, channels], along one to three axes.

For images, `y[n, p, q, c] = max over i, j of x[n, p*sh + i*dh - top, q*sw + j*dw - left, c]`;
padding counts as minus infinity, a NaN in a window makes its maximum NaN. The result has the shape
that `conv` gives it; a window that sees nothing but padding is refused. The gradient of a window
goes to its first maximum, row by row. Stride, padding and dilation have an entry for each axis.""",
    operands=("x",),
    infer=_infer_max_pool,
    kernel=pool_kernels.max_pool,
    gradient=_gradient_max_pool,
    attrs=_SETTINGS,
    cost=_cost_pool,
    scratch_bytes=pool_kernels.scratch_max_pool,
    samples=_MAX_SAMPLES,
)

max_pool_grad = Op(
    name="max_pool_grad",
    doc="""The gradient of `max_pool` with respect to its image.

`x` is the image, `y` the result of `max_pool`, `g` has the shape of `y`. Each element of `g` is
added to the first pixel of its window, row by row, that equals that of `y`; where none does
(NaN), it is dropped. It has no derivative of its own.""",
    operands=("x", "y", "g"),
    infer=_infer_max_pool_grad,
    kernel=pool_kernels.max_pool_grad,
    attrs=_SETTINGS,
    cost=_cost_pool_grad,
    scratch_bytes=pool_kernels.scratch_max_pool_grad,
    samples=_MAX_GRAD_SAMPLES,
)

avg_pool = Op(
    name="avg_pool",
    doc="""The mean of every window of `x` [batch, *axes, channels], along one to three axes.

For images, `y[n, p, q, c] = (sum over i, j of x[n, p*sh + i*dh - top, q*sw + j*dw - left, c]) /
count`, where `count` is the number of elements of the window that lie in the image or in the part
`counted` of its padding. The result has the shape that `max_pool` gives it.""",
    operands=("x",),
    infer=_infer_avg_pool,
    kernel=pool_kernels.avg_pool,
    gradient=_gradient_avg_pool,
    attrs=(*_SETTINGS, _COUNTED),
    cost=_cost_pool,
    scratch_bytes=pool_kernels.scratch_avg_pool,
    samples=_AVG_SAMPLES,
)

avg_pool_grad = Op(
    name="avg_pool_grad",
    doc="""The gradient of `avg_pool` with respect to its image.

`g` has the shape of `avg_pool`'s result, `shape` is the shape of the image. Each element of `g`,
divided by its `count`, is added to every pixel of its window, with the `count` of `avg_pool`.""",
    operands=("g",),
    infer=_infer_avg_pool_grad,
    kernel=pool_kernels.avg_pool_grad,
    gradient=_gradient_avg_pool_grad,
    attrs=(*_SETTINGS, _COUNTED, Attr("shape", "shape of the image")),
    cost=_cost_pool_grad,
    scratch_bytes=pool_kernels.scratch_avg_pool_grad,
    samples=_AVG_GRAD_SAMPLES,
)

OPS = (max_pool, max_pool_grad, avg_pool, avg_pool_grad)
