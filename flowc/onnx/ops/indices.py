"""Choosing elements by index, and ordering them."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.desk import permuted
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.ops.shapes import cut
from flowc.onnx.text import Expr, Index, Infix, Word, call
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
    places = from_front(b, index, table.shape[axis])
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


def from_front(b: Bench, index: Operand, length: Any) -> Tensor:
    """Indices with the negative ones counted from the end."""
    if isinstance(index, Known):
        array = index.array
        if array.dtype == object:
            raise Unsupported("an index depends on the batch")
        if isinstance(length, int):
            array = np.where(array < 0, array + length, array).astype(array.dtype)
        return b.constant(index, array, f"from the front of {length}")
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
    classes: Expr = call("iota", depth, Word(kind))
    if axis != index.rank:
        classes = call("reshape", classes, [depth, *[1] * (index.rank - axis)])
    same = Infix("==", call("expand", place, axis if axis != index.rank else -1), classes)
    if isinstance(values, Known):
        off, on = values.array.reshape(-1)
        on_expr: Any = call("fill", [], on, Word(values.dtype))
        return b.bind(node, call("where", same, on_expr, off))
    pair = b.tensor(values).expr
    return b.bind(node, call("where", same, Index(pair, "1"), Index(pair, "0")))


def gather_elements(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """One element of an axis for each index; the other axes may be cut short by the index."""
    x, index = b.tensor(inputs[0]), inputs[1]
    axis = node.attrs.get("axis", 0) % x.rank
    places = from_front(b, index, x.shape[axis])
    value: Expr = x.expr
    for i in range(x.rank):
        if i != axis and x.shape[i] != places.shape[i]:
            value = call("slice", value, 0, places.shape[i], axis=i)
    settings = {} if axis == x.rank - 1 else {"axis": axis}
    return b.bind(node, call("lookup_along", value, places.expr, **settings))


TRANSLATIONS: dict[str, Translate] = {
    "Gather": gather, "OneHot": one_hot, "GatherElements": gather_elements,
}  # fmt: skip
