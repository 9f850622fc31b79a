"""Convolution along one to three axes, and its two gradients as ops of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flowc_runtime.ops import conv_kernels, conv_rules
from flowc_runtime.ops.conv_columns import convolution_of
from flowc_runtime.ops.op import (
    Array,
    Attr,
    Attrs,
    Emit,
    Forward,
    Op,
    Sample,
    Types,
)
from flowc_runtime.ops.scratch import scratch_size
from flowc_runtime.ops.window import SETTINGS

Arrays = Sequence[Array]
Sizes = tuple[int, ...]

_SETTINGS = (
    *SETTINGS,
    Attr("groups", "parts that channels and filters are divided into", 1, required=False),
)


# Kernels: `conv_kernels` on the sizes that shapes and attributes give.


def _run_conv(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    x, w = ins
    conv_kernels.forward(outs[0], x, w, convolution_of(x.shape, w.shape, attrs), scratch)


def _run_input_grad(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    g, w = ins
    conv = convolution_of(outs[0].shape, w.shape, attrs)
    conv_kernels.input_grad(outs[0], g, w, conv, scratch)


def _run_weight_grad(outs: Arrays, ins: Arrays, attrs: Attrs, scratch: Array) -> None:
    x, g = ins
    conv = convolution_of(x.shape, outs[0].shape, attrs)
    conv_kernels.weight_grad(outs[0], x, g, conv, scratch)


def _scratch_conv(types: Types, results: Types, attrs: Attrs) -> int:
    x, w = types
    conv = convolution_of(x.sizes, w.sizes, attrs)
    return scratch_size(conv_kernels.forward_parts(conv, x.storage))


def _scratch_input_grad(types: Types, results: Types, attrs: Attrs) -> int:
    conv = convolution_of(results[0].sizes, types[1].sizes, attrs)
    return scratch_size(conv_kernels.input_grad_parts(conv, types[0].storage))


def _scratch_weight_grad(types: Types, results: Types, attrs: Attrs) -> int:
    conv = convolution_of(types[0].sizes, results[0].sizes, attrs)
    return scratch_size(conv_kernels.weight_grad_parts(conv, types[0].storage))


# Gradients. All three ops are linear in each operand, so each is expressed by the other two.


def _settings(attrs: Attrs) -> dict[str, Any]:
    return {attr.name: attrs[attr.name] for attr in _SETTINGS}


def _gradient_conv(emit: Emit, at: Forward, cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
    (x, w), (g,), settings = at.operands, cotangents, _settings(at.attrs)
    return (
        emit("conv_input_grad", g, w, shape=x.type.shape, **settings),
        emit("conv_weight_grad", x, g, shape=w.type.shape, **settings),
    )


def _gradient_input_grad(emit: Emit, at: Forward, cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
    (g, w), (x,), settings = at.operands, cotangents, _settings(at.attrs)
    return (
        emit("conv", x, w, **settings),
        emit("conv_weight_grad", x, g, shape=w.type.shape, **settings),
    )


def _gradient_weight_grad(emit: Emit, at: Forward, cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
    (x, g), (w,), settings = at.operands, cotangents, _settings(at.attrs)
    return (
        emit("conv_input_grad", g, w, shape=x.type.shape, **settings),
        emit("conv", x, w, **settings),
    )


# Samples: (image, kernel, result) with settings; one list for the three ops.


def _case(
    image: str,
    kernel: str,
    result: str,
    stride: Sizes = (1, 1),
    padding: tuple[tuple[int, int], ...] = ((0, 0), (0, 0)),
    dilation: Sizes = (1, 1),
    groups: int = 1,
) -> tuple[str, str, str, dict[str, Any]]:
    settings = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    return image, kernel, result, settings


_SAME = ((1, 1), (1, 1))
_CASES = (
    _case("2, 6, 5, 1", "3, 2, 1, 4", "2, 4, 4, 4"),
    _case("2, 5, 5, 4", "3, 3, 4, 3", "2, 5, 5, 3", padding=_SAME),
    _case("2, 7, 6, 2", "3, 3, 2, 3", "2, 4, 3, 3", stride=(2, 2), padding=((1, 2), (0, 1))),
    _case("1, 6, 7, 4", "2, 3, 2, 6", "1, 4, 3, 6", dilation=(2, 2), groups=2),
    _case("2, 5, 5, 3", "3, 3, 1, 3", "2, 3, 3, 3", stride=(2, 2), padding=_SAME, groups=3),
    _case("3, 4, 3, 5", "1, 1, 5, 2", "3, 4, 3, 2"),
    _case("2, 9, 4", "3, 2, 6", "2, 5, 6", (2,), ((0, 2),), (1,), groups=2),
    _case("1, 4, 3, 5, 2", "2, 3, 2, 2, 3", "1, 4, 3, 2, 3", (1, 1, 2), ((0, 1), (1, 1), (0, 0)),
          (1, 1, 2)),
    _case("2, 3, 4, 3, 3", "2, 2, 2, 1, 3", "2, 2, 2, 2, 3", (1, 2, 1), ((0, 0),) * 3, (1, 1, 1),
          groups=3),
)  # fmt: skip


def _sizes(text: str) -> Sizes:
    return tuple(int(size) for size in text.split(","))


_CONV_SAMPLES = tuple(Sample((f"f32[{x}]", f"f32[{w}]"), attrs) for x, w, _, attrs in _CASES)
_INPUT_GRAD_SAMPLES = tuple(
    Sample((f"f32[{y}]", f"f32[{w}]"), {**attrs, "shape": _sizes(x)}) for x, w, y, attrs in _CASES
)
_WEIGHT_GRAD_SAMPLES = tuple(
    Sample((f"f32[{x}]", f"f32[{y}]"), {**attrs, "shape": _sizes(w)}) for x, w, y, attrs in _CASES
)


conv = Op(
    name="conv",
    doc="""Convolution of `x` [batch, *axes, channels] with the kernel `w`
[*windows, channels / groups, filters] along one, two or three axes: sequences, images, volumes.

For images, `y[n, p, q, f] = sum over i, j, c of x[n, p*sh + i*dh - top, q*sw + j*dw - left, c] *
w[i, j, c, f]` (the kernel is not flipped; pixels outside the image are 0). Along an axis the
result has `(size + before + after - dilation*(window - 1) - 1) // stride + 1` positions, at least
1. With `groups`, channels and filters are divided into that many equal parts, in order, and the
filters of a part see only the channels of theirs. Stride, padding and dilation have an entry for
each axis, and so say how many there are.""",
    operands=("x", "w"),
    infer=conv_rules.infer_conv,
    kernel=_run_conv,
    gradient=_gradient_conv,
    attrs=_SETTINGS,
    cost=conv_rules.cost_conv,
    scratch_bytes=_scratch_conv,
    samples=_CONV_SAMPLES,
)

conv_input_grad = Op(
    name="conv_input_grad",
    doc="""The gradient of `conv` with respect to its image: a transposed convolution.

`g` has the shape of conv's result, `w` is its kernel, `shape` the shape of the image. For images,
each `g[n, p, q, f] * w[i, j, c, f]` is added to `x[n, p*sh + i*dh - top, q*sw + j*dw - left, c]`;
what falls outside the image is dropped, and pixels that no window saw are 0.""",
    operands=("g", "w"),
    infer=conv_rules.infer_input_grad,
    kernel=_run_input_grad,
    gradient=_gradient_input_grad,
    attrs=(*_SETTINGS, Attr("shape", "shape of the image")),
    cost=conv_rules.cost_input_grad,
    scratch_bytes=_scratch_input_grad,
    samples=_INPUT_GRAD_SAMPLES,
)

conv_weight_grad = Op(
    name="conv_weight_grad",
    doc="""The gradient of `conv` with respect to its kernel.

`x` is the image, `g` has the shape of conv's result, `shape` is the shape of the kernel. For
images, `w[i, j, c, f] = sum over n, p, q of x[n, p*sh + i*dh - top, q*sw + j*dw - left, c] *
g[n, p, q, f]`, where pixels outside the image are 0.""",
    operands=("x", "g"),
    infer=conv_rules.infer_weight_grad,
    kernel=_run_weight_grad,
    gradient=_gradient_weight_grad,
    attrs=(*_SETTINGS, Attr("shape", "shape of the kernel")),
    cost=conv_rules.cost_weight_grad,
    scratch_bytes=_scratch_weight_grad,
    samples=_WEIGHT_GRAD_SAMPLES,
)

OPS = (conv, conv_input_grad, conv_weight_grad)
