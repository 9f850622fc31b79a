"""Matrix products: as `dense` layers where the matrix is a weight."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.model import Node
from flowc.onnx.text import Expr, Infix, call
from flowc.onnx.values import Known, Tensor
from flowc_runtime.types import FLOATS


def layer_wish(b: Bench, node: Node, *weights: Operand) -> str:
    """What to call a layer: what the names of its weights have in common, else its result.

    `conv1.weight` and `conv1.bias` make `conv1`, so that the paths are those of the file.
    """
    names = [w.wish for w in weights if isinstance(w, Known) and w.wish]
    stems = {n.rpartition(".")[0] or n.rpartition("/")[0] for n in names}
    stem = os.path.commonprefix(names) if len(stems) > 1 else next(iter(stems), "")
    return stem.strip("./_") or b.wish(node)


def is_weight(b: Bench, node: Node, index: int, value: Operand) -> bool:
    """Whether an operand is a float constant that only this node uses."""
    if not isinstance(value, Known) or value.is_open or value.dtype not in FLOATS:
        return False
    return len(b.followers.get(node.inputs[index], [])) <= 1 and value.array.size > 0


def matmul(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x, weight = inputs
    if isinstance(x, Tensor) and is_weight(b, node, 1, weight) and weight.rank == 2 and x.rank > 1:
        width = weight.shape[1]
        bias = bias_after(b, node, lambda shape: shape == (width,))
        return _dense(b, node, x, weight, weight.array, bias)
    return b.bind(node, Infix("@", b.tensor(x).expr, b.tensor(weight).expr))


def bias_after(b: Bench, node: Node, fits: Callable[[tuple[int, ...]], bool]) -> Known | None:
    """A bias that the next node adds, which is then done; `fits` says which shapes can be one."""
    adding = b.only_follower(node.outputs[0], "Add")
    if adding is None:
        return None
    other = next(n for n in adding.inputs if n != node.outputs[0])
    value = b.constant_named(other)
    if value is None or not fits(value.shape) or len(b.followers.get(other, [])) != 1:
        return None
    b.absorb(adding)
    return value


def _dense(
    b: Bench, node: Node, x: Tensor, weight: Known, matrix: np.ndarray, bias: Known | None
) -> Tensor:
    width = int(matrix.shape[1])
    weights = {"weight": np.ascontiguousarray(matrix)}
    settings: dict[str, Any] = {}
    if bias is None:
        settings["bias"] = False
    else:
        weights["bias"] = bias.array.reshape(width)
    wish = layer_wish(b, node, weight, bias)
    return b.bind(node, call("dense", x.expr, width, **settings), weights=weights, wish=wish)


def gemm(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    attrs = node.attrs
    alpha, beta = attrs.get("alpha", 1.0), attrs.get("beta", 1.0)
    a, weight, bias = [*inputs, None][:3]
    left: Expr = b.tensor(a).expr
    if attrs.get("transA", 0):
        left = call("transpose", left)
    plain = isinstance(a, Tensor) and not attrs.get("transA", 0) and alpha == 1 and beta == 1
    if plain and is_weight(b, node, 1, weight):
        matrix = weight.array.T if attrs.get("transB", 0) else weight.array
        fits = bias is None or is_weight(b, node, 2, bias) and bias.array.size == matrix.shape[1]
        if fits:
            return _dense(b, node, a, weight, matrix, bias)
    right: Expr = b.tensor(weight).expr
    if attrs.get("transB", 0):
        right = call("transpose", right)
    product: Expr = Infix("@", left, right)
    product = product if alpha == 1 else Infix("*", product, alpha)
    if bias is None or beta == 0:
        return b.bind(node, product)
    shift: Expr = b.tensor(bias).expr
    return b.bind(node, Infix("+", product, shift if beta == 1 else Infix("*", shift, beta)))


def einsum(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    equation = node.attrs["equation"].replace(" ", "")
    return b.bind(node, call("einsum", equation, *(b.tensor(v).expr for v in inputs)))


TRANSLATIONS: dict[str, Translate] = {"MatMul": matmul, "Gemm": gemm, "Einsum": einsum}
