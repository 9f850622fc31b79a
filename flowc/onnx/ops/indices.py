"""Choosing elements by index, and ordering them."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.desk import permuted, word
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.ops.shapes import cut
from flowc.onnx.text import Expr, Index, Infix, call
from flowc.onnx.values import Known, Tensor, Value
from flowc_runtime.dims import Poly


def gather(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    """Rows by index; along another axis that axis is moved to the front and back."""
    x, index = inputs
    axis = node.attrs.get("axis", 0) % x.rank
    if isinstance(index, Known) and isinstance(x, Tensor):
        taken = _plain_cut(b, node, x, index.array, axis)
        if taken is not None:
            return taken
    table = b.tensor(x)
    places = _from_front(b, index, table.shape[axis])
    if axis == 0:
        return b.bind(node, call("lookup", table.expr, places.expr))
    perm = (axis, *(i for i in range(table.rank) if i != axis))
    front = b.desk.bind(f"{b.wish(node)}_table", permuted(table, perm))
    rows = call("lookup", front.expr, places.expr)
    k = places.rank  # the axes of the index come first, and belong at `axis`
    order = tuple([*range(axis, axis + k), *range(axis), *range(axis + k, table.rank - 1 + k)])
    return b.bind(node, rows, order=order)


def _plain_cut(b: Bench, node: Node, x: Tensor, index: np.ndarray, axis: int) -> Tensor | None:
    """A known place or a known stretch, taken with brackets."""
    length = x.shape[axis]
    if isinstance(length, Poly) or index.size == 0 or index.dtype == object:
        return None
    flat = np.where(index < 0, index + length, index).reshape(-1)
    if flat.min() < 0 or flat.max() >= length:
        raise Unsupported("an index lies outside of the table")
    if index.ndim == 0:
        return b.bind(node, Index(x.expr, ", ".join([*[":"] * axis, str(int(flat[0]))])))
    steps = np.diff(flat)
    if index.ndim != 1 or (len(steps) and (steps != steps[0]).any()):
        return None
    step = int(steps[0]) if len(steps) else 1
    if step == 0:
        return None
    stop = int(flat[-1]) + (1 if step > 0 else -1)
    expr = cut(x, {axis: (int(flat[0]), stop, step)})
    return x if expr is None else b.bind(node, expr)


def _from_front(b: Bench, index: Operand, length: Any) -> Tensor:
    """Indices with the negative ones counted from the end."""
    if isinstance(index, Known):
        array = index.array
        if array.dtype == object:
            raise Unsupported("an index depends on the batch")
        if isinstance(length, int):
            array = np.where(array < 0, array + length, array).astype(array.dtype)
        return b.constant(index, array, "from the front")
    shifted = Infix("+", index.expr, length)
    return b.desk.bind(
        f"{index.name}_place", call("where", Infix("<", index.expr, 0), shifted, index.expr))


def one_hot(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """ONNX puts the classes anywhere, and any two values for off and on."""
    index = b.tensor(inputs[0])
    depth = b.integers(inputs[1], "the depth")[0]
    axis = node.attrs.get("axis", -1) % (index.rank + 1)
    values = inputs[2]
    kind = index.dtype
    place: Expr = index.expr
    place = call("where", Infix("<", place, 0), Infix("+", place, depth), place)
    classes: Expr = call("iota", depth, word(kind))
    if axis != index.rank:
        classes = call("reshape", classes, [depth, *[1] * (index.rank - axis)])
    same = Infix("==", call("expand", place, axis if axis != index.rank else -1), classes)
    if isinstance(values, Known):
        off, on = values.array.reshape(-1)
        on_expr: Any = call("fill", [], on, word(values.dtype))
        return b.bind(node, call("where", same, on_expr, off))
    pair = b.tensor(values).expr
    return b.bind(node, call("where", same, Index(pair, "1"), Index(pair, "0")))


def gather_elements(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """One element of an axis for each index, where the other axes agree."""
    x, index = b.tensor(inputs[0]), inputs[1]
    axis = node.attrs.get("axis", 0) % x.rank
    places = _from_front(b, index, x.shape[axis])
    others = [i for i in range(x.rank) if i != axis]
    if any(x.shape[i] != places.shape[i] for i in others):
        raise Unsupported("the index has other sizes than the table beside the axis")
    order = tuple([*others, axis])
    table, wanted = b.in_order(x, _or_none(order)), b.in_order(places, _or_none(order))
    # `pick` takes one of the last axis; the table is repeated for each that is wanted
    spread = call("broadcast", call("expand", table.expr, -2),
                  [*table.type.shape[:-1], wanted.type.shape[-1], table.type.shape[-1]])
    return b.bind(node, call("pick", spread, wanted.expr), order=_or_none(order))


def _or_none(order: tuple[int, ...]) -> tuple[int, ...] | None:
    return None if order == tuple(range(len(order))) else order


TRANSLATIONS: dict[str, Translate] = {
    "Gather": gather, "OneHot": one_hot, "GatherElements": gather_elements,
}  # fmt: skip
