"""Convolution, pooling and resizing: with the channels last, where the language wants them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.ops.linear import is_weight, layer_wish
from flowc.onnx.ops.resampling import resize
from flowc.onnx.text import Expr, Index, Infix, call
from flowc.onnx.values import Known, Order, Tensor, Value
from flowc_runtime.dims import Dim

Pads = list[tuple[int, int]]


def channels_last(rank: int) -> Order:
    return (0, *range(2, rank), 1)


def as_image(b: Bench, value: Operand) -> Tensor:
    x = b.as_it_lies(value)
    if not 3 <= x.rank <= 5:
        raise Unsupported(f"a tensor of {x.rank} axes is no sequence, image or volume")
    return b.in_order(x, channels_last(x.rank))


# --- windows ------------------------------------------------------------------------------------


def padding_of(
    node: Node, sizes: Sequence[Dim], window: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int],
) -> Pads:
    """The padding of each axis, in numbers."""
    n = len(window)
    auto = node.attrs.get("auto_pad", "NOTSET")
    if auto == "VALID":
        return [(0, 0)] * n
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        sides = []
        for size, w, s, d in zip(sizes, window, strides, dilations, strict=True):
            if not isinstance(size, int):
                raise Unsupported("padding that depends on an open size")
            total = max(0, (-(-size // s) - 1) * s + (w - 1) * d + 1 - size)
            low = total // 2 if auto == "SAME_UPPER" else total - total // 2
            sides.append((low, total - low))
        return sides
    pads = node.attrs.get("pads") or [0] * (2 * n)
    if min(pads) < 0:
        raise Unsupported("negative padding")
    return list(zip(pads[:n], pads[n:], strict=True))


def same_padding(
    sizes: Sequence[Dim], window: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> Pads | None:
    """What the language's "same" means; None where sizes are open."""
    sides = []
    for size, w, s, d in zip(sizes, window, strides, dilations, strict=True):
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


def _settings(window: Sequence[int], **given: Sequence[int]) -> dict[str, Any]:
    return {k: said(v) for k, v in given.items() if any(n != 1 for n in v)}


# --- convolution --------------------------------------------------------------------------------


def conv(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = as_image(b, inputs[0])
    weight, bias = [*inputs, None][1:3]
    n = x.rank - 2
    window = [int(d) for d in weight.shape[2:]]
    strides = node.attrs.get("strides") or [1] * n
    dilations = node.attrs.get("dilations") or [1] * n
    groups = node.attrs.get("group", 1)
    sizes = x.type.shape[1:-1]
    pads = padding_of(node, sizes, window, strides, dilations)
    settings = _settings(window, stride=strides)
    order = channels_last(x.rank)
    if is_weight(b, node, 1, weight) and (bias is None or is_weight(b, node, 2, bias)):
        if pads != same_padding(sizes, window, strides, dilations):
            settings["padding"] = said_padding(pads)
        settings |= _settings(window, dilation=dilations)
        kernel = np.transpose(weight.array, (*range(2, n + 2), 1, 0))
        return _layer(b, node, f"conv{n}d", x, weight, kernel, bias, settings, groups,
                      int(weight.shape[0]))
    settings["padding"] = said_padding(pads)
    settings |= _settings(window, dilation=dilations)
    if groups != 1:
        settings["groups"] = groups
    made: Expr = call("convolve", x.expr, _kernel(b, weight), **settings)
    if bias is not None:
        made = Infix("+", made, b.tensor(bias).expr)
    return b.bind(node, made, order=order)


def _kernel(b: Bench, weight: Operand) -> Expr:
    """A kernel of ONNX, [out, in, axes], as the language has it, [axes, in, out]."""
    perm = [*range(2, weight.rank), 1, 0]
    if isinstance(weight, Known) and not weight.is_open:
        return b.constant(weight, np.ascontiguousarray(weight.array.transpose(perm)), "kernel").expr
    return call("permute", b.tensor(weight).expr, perm)


def conv_transpose(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = as_image(b, inputs[0])
    weight, bias = [*inputs, None][1:3]
    n = x.rank - 2
    window = [int(d) for d in weight.shape[2:]]
    strides = node.attrs.get("strides") or [1] * n
    dilations = node.attrs.get("dilations") or [1] * n
    groups = node.attrs.get("group", 1)
    extra = node.attrs.get("output_padding") or [0] * n
    pads, extra = _transposed_padding(node, x, window, strides, dilations, extra)
    settings = _settings(window, stride=strides)
    settings["padding"] = said_padding(pads)
    settings |= _settings(window, dilation=dilations)
    if any(extra):
        settings["output_padding"] = said(extra)
    if is_weight(b, node, 1, weight) and (bias is None or is_weight(b, node, 2, bias)):
        kernel = np.transpose(weight.array, (*range(2, n + 2), 1, 0))
        return _layer(b, node, f"conv{n}d_transpose", x, weight, kernel, bias, settings, groups,
                      int(weight.shape[1]) * groups)
    if groups != 1:
        settings["groups"] = groups
    made: Expr = call("convolve_transpose", x.expr, _kernel(b, weight), **settings)
    if bias is not None:
        made = Infix("+", made, b.tensor(bias).expr)
    return b.bind(node, made, order=channels_last(x.rank))


def _transposed_padding(
    node: Node, x: Tensor, window: Sequence[int], strides: Sequence[int],
    dilations: Sequence[int], extra: list[int],
) -> tuple[Pads, list[int]]:
    """ONNX may say the result's sizes instead of the padding."""
    n = len(window)
    wanted = node.attrs.get("output_shape")
    auto = node.attrs.get("auto_pad", "NOTSET")
    if wanted is None and auto in ("NOTSET", "VALID"):
        return padding_of(node, x.type.shape[1:-1], window, strides, dilations), extra
    sides = []
    extra = list(extra)
    for i in range(n):
        size = x.type.shape[1 + i]
        if not isinstance(size, int):
            raise Unsupported("padding that depends on an open size")
        full = strides[i] * (size - 1) + extra[i] + (window[i] - 1) * dilations[i] + 1
        target = size * strides[i] if wanted is None else wanted[-n:][i]
        total = full - target
        if total < 0:
            extra[i] -= total
            total = 0
        low = total - total // 2 if auto == "SAME_LOWER" else total // 2
        sides.append((low, total - low))
    return sides, extra


def _layer(
    b: Bench, node: Node, block: str, x: Tensor, weight: Known, kernel: np.ndarray,
    bias: Known | None, settings: dict[str, Any], groups: int, filters: int,
) -> Tensor:
    """A layer of the library, with the bias that a node after it may add."""
    wish = layer_wish(b, node, weight, bias)
    if bias is None:
        bias = _bias_after(b, node, x.rank, filters)
    if groups != 1:
        settings["groups"] = groups
    weights = {"kernel": np.ascontiguousarray(kernel)}
    if bias is None:
        settings["bias"] = False
    else:
        weights["bias"] = np.ascontiguousarray(bias.array.reshape(filters))
    window = said([int(d) for d in kernel.shape[:-2]])
    sized = {} if window == 3 else {"size": window}
    made = call(block, x.expr, filters, **sized, **settings)
    return b.bind(node, made, order=channels_last(x.rank), weights=weights, wish=wish)


def _bias_after(b: Bench, node: Node, rank: int, filters: int) -> Known | None:
    adding = b.only_follower(node.outputs[0], "Add")
    if adding is None:
        return None
    other = next(n for n in adding.inputs if n != node.outputs[0])
    value = b.constant_named(other)
    if value is None or value.array.size != filters or len(b.followers.get(other, [])) != 1:
        return None
    shape = (1,) * (rank - value.rank) + value.shape
    if value.rank > rank or shape != (1, filters, *[1] * (rank - 2)):
        return None
    b.absorb(adding)
    return value


# --- pooling ------------------------------------------------------------------------------------


def _pool(b: Bench, node: Node, x: Tensor, function: str, **more: Any) -> tuple[Expr, list[int]]:
    n = x.rank - 2
    window = node.attrs["kernel_shape"]
    strides = node.attrs.get("strides") or [1] * n
    dilations = node.attrs.get("dilations") or [1] * n
    pads = padding_of(node, x.type.shape[1:-1], window, strides, dilations)
    settings: dict[str, Any] = {}
    if strides != window:
        settings["stride"] = said(strides)
    if any(p != (0, 0) for p in pads):
        settings["padding"] = said_padding(pads)
    settings |= _settings(window, dilation=dilations)
    if node.attrs.get("ceil_mode", 0):
        settings["ceil"] = True
    return call(function, x.expr, said(window), **settings, **more), window


def max_pool(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    if len(node.outputs) > 1 and node.outputs[1] and (
            b.followers.get(node.outputs[1]) or node.outputs[1] in b.outputs):
        raise Unsupported("the places of the largest elements")
    x = as_image(b, inputs[0])
    made, _ = _pool(b, node, x, "max_pool")
    return b.bind(node, made, order=x.order)


def average_pool(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = as_image(b, inputs[0])
    counted = {"count_padding": True} if node.attrs.get("count_include_pad", 0) else {}
    made, _ = _pool(b, node, x, "avg_pool", **counted)
    return b.bind(node, made, order=x.order)


def lp_pool(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """The p-norm of each window, from the mean of the powers."""
    x = as_image(b, inputs[0])
    p = node.attrs.get("p", 2)
    powers = b.bind(node, Infix("^", call("abs", x.expr), p), order=x.order,
                    wish=f"{b.wish(node)}_powers")
    mean, window = _pool(b, node, powers, "avg_pool", count_padding=True)
    total = Infix("*", mean, int(np.prod(window)))
    return b.bind(node, Infix("^", total, 1 / p), order=x.order)


def pooled_whole(function: str) -> Translate:
    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        x = b.as_it_lies(inputs[0])
        axes = sorted(x.place(a) for a in range(2, x.rank))
        return b.bind(node, call(function, x.expr, over=axes, keep=True), order=x.order)

    return translate


def lp_whole(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    axes = sorted(x.place(a) for a in range(2, x.rank))
    p = node.attrs.get("p", 2)
    total = call("sum", Infix("^", call("abs", x.expr), p), over=axes, keep=True)
    return b.bind(node, Infix("^", total, 1 / p), order=x.order)


def local_response(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """LRN: each channel against the squares of its neighbours (Krizhevsky et al. 2012)."""
    x = as_image(b, inputs[0])
    size, attrs = node.attrs["size"], node.attrs
    low, high = (size - 1) // 2, size // 2
    channels = x.type.shape[-1]
    sides = [0] * (x.rank - 1)
    squares = b.bind(node, call("pad", call("square", x.expr), [*sides, low], [*sides, high]),
                     order=x.order, wish=f"{b.wish(node)}_squares")
    total: Any = None
    for i in range(size):
        items = ", ".join([":"] * (x.rank - 1) + [f"{i}:{i + int(channels)}"])  # type: ignore[arg-type]
        part = Index(squares.expr, items)
        total = part if total is None else Infix("+", total, part)
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
