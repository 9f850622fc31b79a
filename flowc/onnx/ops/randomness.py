"""Random numbers; ONNX's dropout does nothing outside of training."""

from __future__ import annotations

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import DTYPE_OF, Node
from flowc.onnx.text import Expr, Infix, Word, call
from flowc.onnx.values import Known, Tensor, Value


def dropout(b: Bench, node: Node, inputs: list[Operand]) -> list[Value]:
    """The language's `dropout`, which is on in training alone; the mask is then all true."""
    x = inputs[0]
    if len(inputs) > 2 and isinstance(inputs[2], Known) and bool(inputs[2].array.reshape(-1)[0]):
        rate = 0.5 if inputs[1] is None else float(b.scalar(inputs[1], "the rate"))
        if rate:
            raise Unsupported("dropout that is on outside of training")
    rate = node.attrs.get("ratio", 0.5)
    if len(inputs) > 1 and isinstance(inputs[1], Known):
        rate = float(inputs[1].array.reshape(-1)[0])
    wanted = isinstance(x, Tensor) and 0 < rate < 1 and node.version >= 7
    made: Value = x
    if wanted:
        made = b.bind(node, call("dropout", x.expr, rate), order=x.order)
    if len(node.outputs) < 2 or not node.outputs[1]:
        return [made]
    return [made, Known(np.ones([int(d) for d in x.shape], bool))]


def _scaled(node: Node, shape: Expr, uniform: bool) -> Expr:
    if uniform:
        low, high = node.attrs.get("low", 0.0), node.attrs.get("high", 1.0)
        return shape if (low, high) == (0, 1) else Infix("+", Infix("*", shape, high - low), low)
    mean, scale = node.attrs.get("mean", 0.0), node.attrs.get("scale", 1.0)
    return shape if (mean, scale) == (0, 1) else Infix("+", Infix("*", shape, scale), mean)


def random(uniform: bool, like: bool) -> Translate:
    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        dtype = DTYPE_OF.get(node.attrs.get("dtype", 1))
        shape = list(inputs[0].shape) if like else node.attrs["shape"]
        if like and "dtype" not in node.attrs:
            dtype = inputs[0].dtype
        if dtype is None:
            raise Unsupported("of a dtype that flowc has not")
        function = "random_uniform" if uniform else "random_normal"
        return b.bind(node, _scaled(node, call(function, shape, Word(dtype)), uniform))

    return translate


IN_ANY_FORM: dict[str, Translate] = {
    "Dropout": dropout,
    "RandomUniform": random(True, False), "RandomUniformLike": random(True, True),
    "RandomNormal": random(False, False), "RandomNormalLike": random(False, True),
}  # fmt: skip
