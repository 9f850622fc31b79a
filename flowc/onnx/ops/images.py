"""Convolution, pooling and resizing: with the channels last, where the language wants them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.ops.linear import bias_after, is_weight, layer_wish
from flowc.onnx.ops.resampling import resize
from flowc.onnx.text import Expr, Index, Infix, call
from flowc.onnx.values import Known, Tensor, Value, channels_last, fixed
from flowc_runtime.dims import Dim

Pads = list[tuple[int, int]]


class Steps(NamedTuple):
    """A window, and how it goes over an image: a number for each axis of space."""

    window: list[int]
    strides: list[int]
    dilations: list[int]


def as_image(b: Bench, value: Operand) -> Tensor:
    x = b.as_it_lies(value)
    if not 3 <= x.rank <= 5:
        raise Unsupported(f"a tensor of {x.rank} axes is no sequence, image or volume")
    return b.in_order(x, channels_last(x.rank))


# --- windows ------------------------------------------------------------------------------------


def steps_of(node: Node, window: list[int]) -> Steps:
    ones = [1] * len(window)
    return Steps(window, node.attrs.get("strides") or ones, node.attrs.get("dilations") or ones)


def padding_of(node: Node, sizes: Sequence[Dim], steps: Steps) -> Pads:
    """The padding of each axis, in numbers."""
    n = len(steps.window)
    auto = node.attrs.get("auto_pad", "NOTSET")
    if auto == "VALID":
        return [(0, 0)] * n
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        same = same_padding(sizes, steps)
        if same is None:
            raise Unsupported("padding that depends on an open size")
        return same if auto == "SAME_UPPER" else [(high, low) for low, high in same]
    pads = node.attrs.get("pads") or [0] * (2 * n)
    if min(pads) < 0:
        raise Unsupported("negative padding")
    return list(zip(pads[:n], pads[n:], strict=True))


def same_padding(sizes: Sequence[Dim], steps: Steps) -> Pads | None:
    """What the language's "same" means; None where sizes are open."""
    sides = []
    for size, w, s, d in zip(sizes, *steps, strict=True):
        if not isinstance(size, int):
            return None
        total = max(0, (-(-size // s) - 1) * s + (w - 1) * d + 1 - size)
        sides.append((total // 2, total - total // 2))
    return sides


def said_padding(pads: Pads) -> Any:
    """Padding as a text says it: a word, a number, or a list."""
    if all(p == (0, 0) for p in pads):
        return "valid"
    flat = {n for pair in pads for n in pair}
    if len(flat) == 1:
        return flat.pop()
    return [low if low == high else [low, high] for low, high in pads]


def said(sizes: Sequence[int]) -> Any:
    """One number where all axes have the same."""
    return sizes[0] if len(set(sizes)) == 1 else list(sizes)


def _settings(**given: Sequence[int]) -> dict[str, Any]:
    """Those that are not 1, which is what the language takes where nothing is said."""
    return {k: said(v) for k, v in given.items() if any(n != 1 for n in v)}


# --- convolution --------------------------------------------------------------------------------


def conv(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = as_image(b, inputs[0])
    weight, bias = [*inputs, None][1:3]
    steps = steps_of(node, [fixed(d) for d in weight.shape[2:]])
    sizes = x.type.shape[1:-1]
    pads = padding_of(node, sizes, steps)
    settings = {
        **_settings(stride=steps.strides), "padding": said_padding(pads),
        **_settings(dilation=steps.dilations, groups=[node.attrs.get("group", 1)])}
    if not _is_layer(b, node, weight, bias):
        return _convolved(b, node, "convolve", x, weight, bias, settings)
    if pads == same_padding(sizes, steps):
        del settings["padding"]  # the layer's own
    return _layer(b, node, f"conv{len(sizes)}d", x, weight, bias, settings, weight.shape[0])


def conv_transpose(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = as_image(b, inputs[0])
    weight, bias = [*inputs, None][1:3]
    steps = steps_of(node, [fixed(d) for d in weight.shape[2:]])
    groups = node.attrs.get("group", 1)
    pads, extra = _transposed_padding(node, x.type.shape[1:-1], steps)
    settings = {
        **_settings(stride=steps.strides), "padding": said_padding(pads),
        **_settings(dilation=steps.dilations)}
    if any(extra):
        settings["output_padding"] = said(extra)
    settings |= _settings(groups=[groups])
    if not _is_layer(b, node, weight, bias):
        return _convolved(b, node, "convolve_transpose", x, weight, bias, settings)
    block = f"conv{x.rank - 2}d_transpose"
    return _layer(b, node, block, x, weight, bias, settings, weight.shape[1] * groups)


def _transposed_padding(node: Node, sizes: Sequence[Dim], steps: Steps) -> tuple[Pads, list[int]]:
    """The padding, and what is added at the end; ONNX may say the result's sizes instead."""
    extra = list(node.attrs.get("output_padding") or [0] * len(sizes))
    wanted = node.attrs.get("output_shape")
    auto = node.attrs.get("auto_pad", "NOTSET")
    if wanted is None and auto in ("NOTSET", "VALID"):
        return padding_of(node, sizes, steps), extra
    sides = []
    for i, (size, w, s, d) in enumerate(zip(sizes, *steps, strict=True)):
        if not isinstance(size, int):
            raise Unsupported("padding that depends on an open size")
        full = s * (size - 1) + extra[i] + (w - 1) * d + 1
        target = size * s if wanted is None else wanted[-len(sizes):][i]
        total = max(0, full - target)
        extra[i] += max(0, target - full)
        low = total - total // 2 if auto == "SAME_LOWER" else total // 2
        sides.append((low, total - low))
    return sides, extra


def _is_layer(b: Bench, node: Node, weight: Operand, bias: Operand) -> bool:
    return is_weight(b, node, 1, weight) and (bias is None or is_weight(b, node, 2, bias))


def _layer(
    b: Bench, node: Node, block: str, x: Tensor, weight: Known, bias: Known | None,
    settings: dict[str, Any], filters: int,
) -> Tensor:
    """A layer of the library, with the bias that a node after it may add."""
    wish = layer_wish(b, node, weight, bias)
    if bias is None:
        shape = (1, filters, *[1] * (x.rank - 2))
        bias = bias_after(b, node, lambda own: (1,) * (x.rank - len(own)) + own == shape)
    weights = {"kernel": _kernel(weight.array)}
    if bias is None:
        settings["bias"] = False
    else:
        weights["bias"] = np.ascontiguousarray(bias.array.reshape(filters))
    window = said(weight.shape[2:])
    sized = {} if window == 3 else {"size": window}
    made = call(block, x.expr, filters, **sized, **settings)
    return b.bind(node, made, order=x.order, weights=weights, wish=wish)


def _convolved(
    b: Bench, node: Node, function: str, x: Tensor, weight: Operand, bias: Operand,
    settings: dict[str, Any],
) -> Tensor:
    """The function itself, where the kernel is no parameter of one layer."""
    if isinstance(weight, Known) and not weight.is_open:
        kernel: Expr = b.constant(weight, _kernel(weight.array), "kernel").expr
    else:
        kernel = call("permute", b.tensor(weight).expr, _kernel_order(weight.rank))
    made: Expr = call(function, x.expr, kernel, **settings)
    if bias is not None:
        made = Infix("+", made, b.tensor(bias).expr)
    return b.bind(node, made, order=x.order)


def _kernel(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(_kernel_order(array.ndim)))


def _kernel_order(rank: int) -> list[int]:
    """A kernel of ONNX, [out, in, axes], as the language has it, [axes, in, out]."""
    return [*range(2, rank), 1, 0]


# --- pooling ------------------------------------------------------------------------------------


def _pool(node: Node, x: Tensor, function: str, **more: Any) -> Expr:
    steps = steps_of(node, node.attrs["kernel_shape"])
    pads = padding_of(node, x.type.shape[1:-1], steps)
    settings: dict[str, Any] = {}
    if steps.strides != steps.window:
        settings["stride"] = said(steps.strides)
    if any(p != (0, 0) for p in pads):
        settings["padding"] = said_padding(pads)
    settings |= _settings(dilation=steps.dilations)
    if node.attrs.get("ceil_mode", 0):
        settings["ceil"] = True
    return call(function, x.expr, said(steps.window), **settings, **more)


def max_pool(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    if len(node.outputs) > 1 and node.outputs[1] and (
            b.followers.get(node.outputs[1]) or node.outputs[1] in b.outputs):
        raise Unsupported("the places of the largest elements")
    x = as_image(b, inputs[0])
    return b.bind(node, _pool(node, x, "max_pool"), order=x.order)


def average_pool(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = as_image(b, inputs[0])
    counted = {"count_padding": True} if node.attrs.get("count_include_pad", 0) else {}
    return b.bind(node, _pool(node, x, "avg_pool", **counted), order=x.order)


def lp_pool(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """The p-norm of each window, from the mean of the powers."""
    x = as_image(b, inputs[0])
    p = node.attrs.get("p", 2)
    powers = b.bind(node, Infix("^", call("abs", x.expr), p), order=x.order,
                    wish=f"{b.wish(node)}_powers")
    mean = _pool(node, powers, "avg_pool", count_padding=True)
    total = Infix("*", mean, math.prod(node.attrs["kernel_shape"]))
    return b.bind(node, Infix("^", total, 1 / p), order=x.order)


def pooled_whole(function: str) -> Translate:
    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        x = b.as_it_lies(inputs[0])
        return b.bind(node, call(function, x.expr, over=_space(x), keep=True), order=x.order)

    return translate


def lp_whole(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    p = node.attrs.get("p", 2)
    total = call("sum", Infix("^", call("abs", x.expr), p), over=_space(x), keep=True)
    return b.bind(node, Infix("^", total, 1 / p), order=x.order)


def _space(x: Tensor) -> list[int]:
    """Where the text has the axes that are neither examples nor channels."""
    return sorted(x.place(axis) for axis in range(2, x.rank))


def local_response(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """LRN: each channel against the squares of its neighbours (Krizhevsky et al. 2012)."""
    x = as_image(b, inputs[0])
    size, attrs = node.attrs["size"], node.attrs
    low, high = (size - 1) // 2, size // 2
    channels = fixed(x.type.shape[-1])
    sides = [0] * (x.rank - 1)
    squares = b.bind(node, call("pad", call("square", x.expr), [*sides, low], [*sides, high]),
                     order=x.order, wish=f"{b.wish(node)}_squares")
    lead = ":, " * (x.rank - 1)
    parts: list[Expr] = [Index(squares.expr, f"{lead}{i}:{i + channels}") for i in range(size)]
    total = reduce(partial(Infix, "+"), parts)
    scale = attrs.get("alpha", 1e-4) / size
    base = Infix("+", Infix("*", total, scale), attrs.get("bias", 1.0))
    return b.bind(node, Infix("/", x.expr, Infix("^", base, attrs.get("beta", 0.75))),
                  order=x.order)


IN_ANY_ORDER: dict[str, Translate] = {
    "Conv": conv, "ConvTranspose": conv_transpose, "MaxPool": max_pool,
    "AveragePool": average_pool, "LpPool": lp_pool, "GlobalAveragePool": pooled_whole("mean"),
    "GlobalMaxPool": pooled_whole("max"), "GlobalLpPool": lp_whole, "LRN": local_response,
    "Resize": resize, "Upsample": resize,
}  # fmt: skip
