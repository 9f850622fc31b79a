"""Reductions over axes, in whatever order these are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.text import Expr, Index, Infix, Word, call
from flowc.onnx.values import Tensor, order_without
from flowc_runtime.dims import Poly

Reduce = Callable[[Expr, Any, bool], Expr]  # x, the axes in the text, whether they are kept


def over(axes: list[int], rank: int) -> Any:
    """The axes as the language's `over` says them."""
    if len(axes) == rank:
        return "all"
    if len(axes) == 1:
        return axes[0] if axes[0] != rank - 1 else -1
    return sorted(axes)


def reduced(function: str) -> Reduce:
    def build(x: Expr, axes: Any, keep: bool) -> Expr:
        return call(function, x, over=axes, keep=True) if keep else call(function, x, over=axes)

    return build


def axes_of(b: Bench, node: Node, inputs: list[Operand], rank: int) -> list[int] | None:
    """The axes that a node reduces; None for none at all."""
    given = node.attrs.get("axes")
    if len(inputs) > 1 and inputs[1] is not None:
        given = b.integers(inputs[1], "the axes")
    if not given:
        return None if node.attrs.get("noop_with_empty_axes", 0) else list(range(rank))
    return sorted({a % rank for a in given})


def reduction(build: Reduce, before: Callable[[Expr], Expr] | None = None) -> Translate:
    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        x = b.as_it_lies(inputs[0])
        axes = axes_of(b, node, inputs, x.rank)
        expr: Expr = before(x.expr) if before else x.expr
        if axes is None or x.rank == 0:
            return x if expr == x.expr and build is not LOG_SUM else b.bind(
                node, call("log", expr) if build is LOG_SUM else expr, order=x.order)
        keep = bool(node.attrs.get("keepdims", 1))
        here = [x.place(a) for a in axes]
        order = x.order if keep else order_without(x.order, axes)
        return b.bind(node, build(expr, over(here, x.rank), keep), order=order)

    return translate


def _log_sum(x: Expr, axes: Any, keep: bool) -> Expr:
    return call("log", reduced("sum")(x, axes, keep))


LOG_SUM: Reduce = _log_sum


def _root_of_sum(x: Expr, axes: Any, keep: bool) -> Expr:
    return call("sqrt", reduced("sum")(call("square", x), axes, keep))


def _log_sum_exp(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """With the largest taken out first, so that nothing overflows."""
    x = b.as_it_lies(inputs[0])
    axes = axes_of(b, node, inputs, x.rank)
    if axes is None or x.rank == 0:
        return x
    here = over([x.place(a) for a in axes], x.rank)
    keep = bool(node.attrs.get("keepdims", 1))
    top = b.bind(node, call("max", x.expr, over=here, keep=True), order=x.order,
                 wish=f"{b.wish(node)}_top")
    total = call("log", call("sum", call("exp", Infix("-", x.expr, top.expr)), over=here,
                             keep=True))
    whole = b.bind(node, Infix("+", total, top.expr), order=x.order)
    if keep:
        return whole
    shape = [d for i, d in enumerate(x.shape) if i not in axes]
    return b.bind(node, call("reshape", b.in_order(whole, None).expr, shape))


def _extreme(number: str, truth: str) -> Translate:
    """The largest or smallest; of truth values, whether any or all are true."""

    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        function = truth if inputs[0].dtype == "bool" else number
        return _as_tensor(reduction(reduced(function))(b, node, inputs))

    return translate


def _as_tensor(value: Any) -> Tensor:
    assert isinstance(value, Tensor)
    return value


def position(function: str) -> Translate:
    """The first position of an extreme, or the last where the node asks for that."""

    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        x = b.as_it_lies(inputs[0])
        axis = node.attrs.get("axis", 0) % x.rank
        here = x.place(axis)
        size = x.type.shape[here]
        last = bool(node.attrs.get("select_last_index", 0))
        items = ", ".join([":"] * here + ["::-1"])
        source = Index(x.expr, items) if last else x.expr
        if last and isinstance(size, Poly):
            raise Unsupported("it looks for the last place along an open size")
        found: Expr = call("cast", call(function, source, axis=_axis(here, x.rank)), Word("i64"))
        if last:
            found = Infix("-", size - 1, found)
        if node.attrs.get("keepdims", 1):
            return b.bind(node, call("expand", found, _axis(here, x.rank)), order=x.order)
        return b.bind(node, found, order=order_without(x.order, [axis]))

    return translate


def _axis(axis: int, rank: int) -> int:
    return -1 if axis == rank - 1 else axis


def _running_sum(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    axis = b.integers(inputs[1], "the axis")[0] % x.rank
    here = x.place(axis)
    backwards = bool(node.attrs.get("reverse", 0))
    settings = {"reverse": True} if backwards else {}
    if node.attrs.get("exclusive", 0):
        settings["exclusive"] = True
    return b.bind(node, call("cumsum", x.expr, here, **settings), order=x.order)


def _absolute(x: Expr) -> Expr:
    return call("abs", x)


def _squared(x: Expr) -> Expr:
    return call("square", x)


IN_ANY_ORDER: dict[str, Translate] = {
    "ReduceSum": reduction(reduced("sum")),
    "ReduceMean": reduction(reduced("mean")),
    "ReduceProd": reduction(reduced("prod")),
    "ReduceMax": _extreme("max", "any"),
    "ReduceMin": _extreme("min", "all"),
    "ReduceL1": reduction(reduced("sum"), _absolute),
    "ReduceSumSquare": reduction(reduced("sum"), _squared),
    "ReduceL2": reduction(_root_of_sum),
    "ReduceLogSum": reduction(LOG_SUM),
    "ReduceLogSumExp": _log_sum_exp,
    "ArgMax": position("argmax"),
    "ArgMin": position("argmin"),
    "CumSum": _running_sum,
}
