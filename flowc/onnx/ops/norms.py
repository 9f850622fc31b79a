"""Normalisation and softmax."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.ops.linear import is_weight, layer_wish
from flowc.onnx.text import Expr, Infix, call
from flowc.onnx.values import Tensor, axis_last, channels_last
from flowc_runtime.dims import product


def batch_norm(b: Bench, node: Node, inputs: list[Operand]) -> list[Tensor]:
    """The library's layer where the moments are constants; its formula where they are tensors."""
    x = b.as_it_lies(inputs[0])
    if node.attrs.get("training_mode", 0):
        return _in_training(b, node, x, inputs)
    if len([n for n in node.outputs if n and b.followers.get(n)]) > 1:
        raise Unsupported("its moments are used, outside of training")
    x = b.in_order(x, channels_last(x.rank))
    eps = node.attrs.get("epsilon", 1e-5)
    known = all(is_weight(b, node, i, v) for i, v in enumerate(inputs) if i)
    if known and x.dtype == "f32":
        scale, shift, mean, var = (v.array for v in inputs[1:])
        weights = {"scale": scale, "shift": shift, "mean_seen": mean, "var_seen": var}
        settings: dict[str, Any] = {"momentum": node.attrs.get("momentum", 0.9), "eps": eps}
        settings = {k: v for k, v in settings.items() if np.float32(v) != DEFAULTS[k]}
        wish = layer_wish(b, node, *inputs[1:])
        return [b.bind(node, call("batch_norm", x.expr, **settings), order=x.order,
                       weights=weights, wish=wish)]
    scale_, shift_, mean_, var_ = (b.tensor(v).expr for v in inputs[1:])
    return [b.bind(node, _normalised(x.expr, mean_, var_, scale_, shift_, eps), order=x.order)]


DEFAULTS = {"momentum": np.float32(0.9), "eps": np.float32(1e-5)}


def _normalised(x: Any, mean: Any, var: Any, scale: Any, shift: Any, eps: float) -> Expr:
    made: Expr = Infix("/", Infix("-", x, mean), call("sqrt", Infix("+", var, eps)))
    made = made if scale is None else Infix("*", made, scale)
    return made if shift is None else Infix("+", made, shift)


def _in_training(b: Bench, node: Node, x: Tensor, inputs: list[Operand]) -> list[Tensor]:
    """Normalises by the batch's own moments, and gives the running ones that follow."""
    x = b.in_order(x, channels_last(x.rank))
    momentum = node.attrs.get("momentum", 0.9)
    mean, var = b.desk.bind_all([f"{b.wish(node)}_mean", f"{b.wish(node)}_variance"],
                                call("moments", x.expr, over="..."))
    scale, shift, old_mean, old_var = (b.tensor(v).expr for v in inputs[1:])
    made = [b.bind(node, _normalised(x.expr, mean.expr, var.expr, scale, shift,
                                     node.attrs.get("epsilon", 1e-5)), order=x.order)]
    for i, (old, new) in enumerate(((old_mean, mean), (old_var, var)), 1):
        if i < len(node.outputs):
            kept = Infix("*", old, momentum)
            made.append(b.bind(node, Infix("+", kept, Infix("*", new.expr, 1 - momentum)), i))
    return made


def layer_norm(b: Bench, node: Node, inputs: list[Operand]) -> list[Tensor]:
    """Over the last axes; the library's layer where that is one axis, and the scale a weight."""
    x = b.tensor(inputs[0])
    scale, shift = [*inputs, None][1:3]
    axis = node.attrs.get("axis", -1) % x.rank
    eps = node.attrs.get("epsilon", 1e-5)
    used = [i for i in (1, 2) if i < len(node.outputs) and node.outputs[i]]
    plain = axis == x.rank - 1 and not used
    if plain and is_weight(b, node, 1, scale) and (shift is None or is_weight(b, node, 2, shift)):
        width = int(scale.shape[0])
        moved = np.zeros(width, np.float32) if shift is None else shift.array
        settings = {} if np.float32(eps) == DEFAULTS["eps"] else {"eps": eps}
        return [b.bind(node, call("layer_norm", x.expr, **settings),
                       weights={"scale": scale.array, "shift": moved},
                       wish=layer_wish(b, node, scale, shift))]
    over = -1 if axis == x.rank - 1 else list(range(axis, x.rank))
    mean, var = b.desk.bind_all([f"{b.wish(node)}_mean", f"{b.wish(node)}_variance"],
                                call("moments", x.expr, over=over, keep=True))
    factor, moved_by = (None if v is None else b.tensor(v).expr for v in (scale, shift))
    made = [b.bind(node, _normalised(x.expr, mean.expr, var.expr, factor, moved_by, eps))]
    if len(node.outputs) > 1:
        made.append(mean)
    if len(node.outputs) > 2:
        root = call("sqrt", Infix("+", var.expr, eps))
        made.append(b.bind(node, Infix("/", 1, root), 2))
    return made


def instance_norm(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """Each channel of each example over its own space."""
    x = b.as_it_lies(inputs[0])
    x = b.in_order(x, channels_last(x.rank))
    axes = list(range(1, x.rank - 1))
    mean, var = b.desk.bind_all([f"{b.wish(node)}_mean", f"{b.wish(node)}_variance"],
                                call("moments", x.expr, over=axes, keep=True))
    scale, shift = b.tensor(inputs[1]).expr, b.tensor(inputs[2]).expr
    eps = node.attrs.get("epsilon", 1e-5)
    return b.bind(node, _normalised(x.expr, mean.expr, var.expr, scale, shift, eps),
                  order=x.order)


def softmax(function: str) -> Translate:
    """Along one axis; until opset 13 over all axes from one on, as one."""

    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        x = b.as_it_lies(inputs[0])
        old = node.version < 13
        axis = node.attrs.get("axis", 1 if old else -1) % x.rank
        if old and axis != x.rank - 1:
            plain = b.in_order(x, None)
            rows = [product(plain.shape[:axis]), product(plain.shape[axis:])]
            flat = call(function, call("reshape", plain.expr, rows))
            return b.bind(node, call("reshape", flat, list(plain.shape)))
        here = x.place(axis)
        over = {} if here == x.rank - 1 else {"over": here}
        return b.bind(node, call(function, x.expr, **over), order=x.order)

    return translate


def hardmax(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """One at the first largest element, zero elsewhere."""
    x = b.tensor(inputs[0])
    axis = node.attrs.get("axis", 1 if node.version < 13 else -1) % x.rank
    if node.version < 13 and axis != x.rank - 1:
        raise Unsupported("over several axes as one")
    x = b.in_order(x, axis_last(x.rank, axis))
    return b.bind(node, call("one_hot", call("argmax", x.expr), x.type.shape[-1]), order=x.order)


def lp_norm(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    axis = node.attrs.get("axis", -1) % x.rank
    here = x.place(axis)
    size: Expr
    if node.attrs.get("p", 2) == 1:
        size = call("sum", call("abs", x.expr), over=here, keep=True)
    else:
        size = call("norm", x.expr, over=here, keep=True)
    # ONNX leaves a row of zeros as it is
    safe = b.bind(node, size, order=x.order, wish=f"{b.wish(node)}_norm")
    divisor = call("where", Infix("==", safe.expr, 0), 1, safe.expr)
    return b.bind(node, Infix("/", x.expr, divisor), order=x.order)


IN_ANY_ORDER: dict[str, Translate] = {
    "BatchNormalization": batch_norm, "InstanceNormalization": instance_norm,
    "Softmax": softmax("softmax"), "LogSoftmax": softmax("log_softmax"),
    "LpNormalization": lp_norm,
}  # fmt: skip
TRANSLATIONS: dict[str, Translate] = {"LayerNormalization": layer_norm, "Hardmax": hardmax}
