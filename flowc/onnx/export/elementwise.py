"""Ops of single elements, and reductions."""

from __future__ import annotations

import math
from collections.abc import Callable

from flowc.graph.graph import Node
from flowc.onnx.export.writer import NoTranslation, Writer
from flowc_runtime.types import DTYPES

Rule = Callable[[Writer, Node], str]

SAME = {
    "neg": "Neg", "abs": "Abs", "sign": "Sign", "exp": "Exp", "log": "Log", "sqrt": "Sqrt",
    "sin": "Sin", "cos": "Cos", "tanh": "Tanh", "erf": "Erf", "floor": "Floor", "ceil": "Ceil",
    "round": "Round", "logical_not": "Not", "add": "Add", "sub": "Sub", "mul": "Mul",
    "div": "Div", "pow": "Pow", "maximum": "Max", "minimum": "Min", "equal": "Equal",
    "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater",
    "greater_equal": "GreaterOrEqual", "logical_and": "And", "logical_or": "Or",
    "bit_and": "BitwiseAnd", "bit_or": "BitwiseOr", "bit_xor": "BitwiseXor", "where": "Where",
    "stop_gradient": "Identity",
}  # fmt: skip


def same(op: str) -> Rule:
    return lambda w, node: w.emit(op, *w.operands(node))


def _is_float(w: Writer, node: Node) -> bool:
    return DTYPES[w.types(node)[0].dtype].kind == "float"


def _expm1(w: Writer, node: Node) -> str:
    """2 tanh(x/2) / (1 - tanh(x/2)), which unlike exp(x) - 1 is exact near 0."""
    (x,), dtype = w.operands(node), node.type.dtype
    half = w.emit("Tanh", w.emit("Mul", x, w.number(0.5, dtype)))
    exact = w.emit("Div", w.emit("Mul", half, w.number(2, dtype)),
                   w.emit("Sub", w.number(1, dtype), half))
    plain = w.emit("Sub", w.emit("Exp", x), w.number(1, dtype))
    near = w.emit("Less", w.emit("Abs", x), w.number(0.5, dtype))
    return w.emit("Where", near, exact, plain)


def _log1p(w: Writer, node: Node) -> str:
    """log(u) * x / (u - 1) for u = 1 + x, which is exact near 0 (Kahan)."""
    (x,), dtype = w.operands(node), node.type.dtype
    one = w.number(1, dtype)
    u = w.emit("Add", x, one)
    moved = w.emit("Sub", u, one)
    lost = w.emit("Equal", moved, w.number(0, dtype))
    safe = w.emit("Where", lost, one, moved)
    exact = w.emit("Mul", w.emit("Log", u), w.emit("Div", x, safe))
    small = w.emit("Less", w.emit("Abs", x), one)
    return w.emit("Where", lost, x, w.emit("Where", small, exact, w.emit("Log", u)))


def _rsqrt(w: Writer, node: Node) -> str:
    return w.emit("Reciprocal", w.emit("Sqrt", *w.operands(node)))


def _is_finite(w: Writer, node: Node) -> str:
    (x,) = w.operands(node)
    return w.emit("Not", w.emit("Or", w.emit("IsInf", x), w.emit("IsNaN", x)))


def _not_equal(w: Writer, node: Node) -> str:
    return w.emit("Not", w.emit("Equal", *w.operands(node)))


def _floor_div(w: Writer, node: Node) -> str:
    a, b = w.operands(node)
    if _is_float(w, node):
        return w.emit("Floor", w.emit("Div", a, b))
    return w.emit("Div", w.emit("Sub", a, w.emit("Mod", a, b)), b)


def _remainder(w: Writer, node: Node) -> str:
    a, b = w.operands(node)
    if not _is_float(w, node):
        return w.emit("Mod", a, b)
    return w.emit("Sub", a, w.emit("Mul", w.emit("Floor", w.emit("Div", a, b)), b))


def _atan2(w: Writer, node: Node) -> str:
    """By the angle of the quotient, turned by half a circle where x is negative."""
    (y, x), dtype = w.operands(node), node.type.dtype
    zero, pi = w.number(0, dtype), w.number(math.pi, dtype)
    upright = w.emit("Equal", x, zero)
    safe = w.emit("Where", upright, w.number(1, dtype), x)
    angle = w.emit("Atan", w.emit("Div", y, safe))
    turn = w.emit("Where", w.emit("Less", y, zero), w.emit("Neg", pi), pi)
    left = w.emit("Where", w.emit("Less", x, zero), w.emit("Add", angle, turn), angle)
    quarter = w.emit("Mul", w.emit("Sign", y), w.number(math.pi / 2, dtype))
    return w.emit("Where", upright, quarter, left)


def _cast(w: Writer, node: Node) -> str:
    return w.cast(w.operands(node)[0], node.type.dtype)


def reduction(op: str) -> Rule:
    def write(w: Writer, node: Node) -> str:
        keep = int(node.attrs["keep"])
        return w.emit(op, w.operands(node)[0], w.ints(node.attrs["axes"]), keepdims=keep)

    return write


def truth_reduction(op: str) -> Rule:
    def write(w: Writer, node: Node) -> str:
        x = w.cast(w.operands(node)[0], "i32")
        axes = w.ints(node.attrs["axes"])
        return w.cast(w.emit(op, x, axes, keepdims=int(node.attrs["keep"])), "bool")

    return write


def position(op: str) -> Rule:
    def write(w: Writer, node: Node) -> str:
        found = w.emit(op, *w.operands(node), axis=node.attrs["axis"], keepdims=0)
        return w.cast(found, "i32")

    return write


def _cumsum(w: Writer, node: Node) -> str:
    axis = w.number(node.attrs["axis"], "i64")
    return w.emit("CumSum", w.operands(node)[0], axis, reverse=int(node.attrs["reverse"]))


def _argsort(w: Writer, node: Node) -> str:
    axis = node.attrs["axis"]
    count = w.size(w.types(node)[0].shape[axis])
    _, places = w.emit_many("TopK", [w.operands(node)[0], count], 2, axis=axis,
                            largest=int(node.attrs["descending"]))
    return w.cast(places, "i32")


def no_random(w: Writer, node: Node) -> str:
    raise NoTranslation("random numbers of ONNX are other ones")


RULES: dict[str, Rule] = {
    **{op: same(name) for op, name in SAME.items()},
    "expm1": _expm1, "log1p": _log1p, "rsqrt": _rsqrt, "is_finite": _is_finite,
    "not_equal": _not_equal, "floor_div": _floor_div, "remainder": _remainder, "atan2": _atan2,
    "cast": _cast, "reduce_sum": reduction("ReduceSum"), "reduce_max": reduction("ReduceMax"),
    "reduce_min": reduction("ReduceMin"), "reduce_prod": reduction("ReduceProd"),
    "reduce_any": truth_reduction("ReduceMax"), "reduce_all": truth_reduction("ReduceMin"),
    "argmax": position("ArgMax"), "argmin": position("ArgMin"), "cumsum": _cumsum,
    "argsort": _argsort, "random_uniform": no_random, "random_normal": no_random,
}  # fmt: skip
