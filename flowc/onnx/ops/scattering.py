"""Elements put at places, taken from places by several indices, and put in order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.ops.images import steps_of
from flowc.onnx.ops.indices import from_front
from flowc.onnx.text import Expr, Infix, Word, call
from flowc.onnx.values import Known, Tensor, Value, axis_last, fixed
from flowc_runtime.types import DTYPES


def neutral(dtype: str, reduction: str) -> Any:
    """What changes nothing: 0 for sums, 1 for products, the lowest for max, the highest for min."""
    if reduction == "mul":
        return 1
    if reduction in ("none", "add"):
        return 0
    storage = DTYPES[dtype].storage
    limits = np.finfo(storage) if DTYPES[dtype].kind == "float" else np.iinfo(storage)
    return limits.min if reduction == "max" else limits.max


COMBINE = {"mul": "prod", "max": "max", "min": "min"}


def scatter_elements(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """The data with some elements of an axis replaced, or joined with the updates."""
    data, index, updates = (b.tensor(v) if i != 1 else v for i, v in enumerate(inputs))
    axis = node.attrs.get("axis", 0) % data.rank
    size = data.shape[axis]
    reduction = node.attrs.get("reduction", "none")
    order = axis_last(data.rank, axis)
    places = b.in_order(from_front(b, index, size), order)
    table, new = b.in_order(data, order), b.in_order(updates, order)
    sizes = [fixed(d) for d in table.type.shape]
    wish = b.wish(node)
    changed: Expr
    if reduction in COMBINE:
        columns = call("expand", call("iota", size, Word(places.dtype)), -1)
        hit = Infix("==", call("expand", places.expr, -2), columns)
        kept = call("where", hit, call("expand", new.expr, -2), neutral(data.dtype, reduction))
        joined = call(COMBINE[reduction], kept, over=-1)
        made = b.desk.bind(f"{wish}_changes", joined)
        fitted = _fitted(made, sizes, neutral(data.dtype, reduction))
        changed = _joined(reduction, table.expr, fitted)
        return b.bind(node, changed, order=order)
    sums = b.desk.bind(
        f"{wish}_changes", call("scatter_add_along", places.expr, new.expr, size))
    fitted = _fitted(sums, sizes, 0)
    if reduction == "add":
        return b.bind(node, Infix("+", table.expr, fitted), order=order)
    ones = call("fill", list(new.type.shape), 1.0)
    hits = b.desk.bind(f"{wish}_hits", call("scatter_add_along", places.expr, ones, size))
    chosen = Infix(">", _fitted(hits, sizes, 0), 0)
    return b.bind(node, call("where", chosen, fitted, table.expr), order=order)


def _fitted(x: Tensor, sizes: list[int], value: Any) -> Expr:
    """Padded to the table's sizes, where the updates covered only the beginning of an axis."""
    after = [size - fixed(d) for size, d in zip(sizes, x.type.shape, strict=True)]
    if min(after) < 0:
        raise Unsupported("the updates are larger than the data")
    return x.expr if not any(after) else call("pad", x.expr, [0] * x.rank, after, float(value))


def _joined(reduction: str, a: Expr, c: Expr) -> Expr:
    return Infix("*", a, c) if reduction == "mul" else call(reduction, a, c)


def _flat_places(
    b: Bench, node: Node, index: Operand, data: Tensor, batches: int
) -> tuple[Tensor, int, list[int]]:
    """Several indices as one into the flattened leading axes; their count, and the rest."""
    shape = [fixed(d) for d in data.shape]
    *lead, depth = (fixed(d) for d in index.shape)
    sizes, rest = shape[batches: batches + depth], shape[batches + depth:]
    strides = [math.prod(sizes[i + 1:]) for i in range(depth)]
    rows = math.prod(shape[: batches + depth])
    if isinstance(index, Known):
        array = np.where(index.array < 0, index.array + np.array(sizes), index.array)
        flat = (array * np.array(strides)).sum(-1)
        flat = flat + _offsets(flat.shape, batches, rows)
        form = f"flat in {sizes}, {rows} rows, {batches} batch axes"
        return b.constant(index, flat.astype(np.int64), form), rows, rest
    total: Expr | None = None
    for i, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        one = b.desk.bind(f"{b.wish(node)}_index", call(
            "squeeze", call("slice", index.expr, i, i + 1), -1))
        positive: Expr = call("where", Infix("<", one.expr, 0), Infix("+", one.expr, size),
                              one.expr)
        part = positive if stride == 1 else Infix("*", positive, stride)
        total = part if total is None else Infix("+", total, part)
    if total is None:
        raise Unsupported("an index of no axes")
    if batches:
        offsets = _offsets(tuple(lead), batches, rows).astype(np.int64)
        first = b.desk.variable(f"{b.wish(node)}_offsets", offsets, learns=False)
        total = Infix("+", total, first.expr)
    return b.desk.bind(f"{b.wish(node)}_place", total), rows, rest


def _offsets(shape: tuple[int, ...], batches: int, rows: int) -> np.ndarray:
    """Where the rows of each batch begin."""
    count = math.prod(shape[:batches])
    starts = np.arange(count) * (rows // max(count, 1))
    return np.broadcast_to(
        starts.reshape((*shape[:batches], *[1] * (len(shape) - batches))), shape)


def gather_nd(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    data, index = b.tensor(inputs[0]), inputs[1]
    batches = node.attrs.get("batch_dims", 0)
    places, rows, rest = _flat_places(b, node, index, data, batches)
    table = data.expr if data.rank == 1 + len(rest) else call("reshape", data.expr, [rows, *rest])
    return b.bind(node, call("lookup", table, places.expr))


def scatter_nd(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    data, updates = b.tensor(inputs[0]), b.tensor(inputs[2])
    reduction = node.attrs.get("reduction", "none")
    places, rows, rest = _flat_places(b, node, inputs[1], data, 0)
    count, width = fixed(places.type.size), math.prod(rest)
    wish = b.wish(node)
    at = b.desk.bind(f"{wish}_rows", call("reshape", places.expr, [count]))
    table = call("reshape", data.expr, [rows, width])
    new = call("reshape", updates.expr, [count, width])
    shape = list(data.shape)
    if reduction in COMBINE:
        hit = Infix("==", call("expand", at.expr, 0),
                    call("expand", call("iota", rows, Word(at.dtype)), -1))
        kept = call("where", call("expand", hit, -1), call("expand", new, 0),
                    neutral(data.dtype, reduction))
        joined = call(COMBINE[reduction], kept, over=1)
        return b.bind(node, call("reshape", _joined(reduction, table, joined), shape))
    sums = call("scatter_add", at.expr, new, rows)
    if reduction == "add":
        return b.bind(node, call("reshape", Infix("+", table, sums), shape))
    hits = call("scatter_add", at.expr, call("fill", [count, width], 1.0), rows)
    return b.bind(node, call("reshape", call("where", Infix(">", hits, 0), sums, table), shape))


def top_k(b: Bench, node: Node, inputs: list[Operand]) -> list[Value]:
    """The largest (or smallest) and where they were; equal ones in the order of their places."""
    x = b.tensor(inputs[0])
    count = node.attrs["k"] if "k" in node.attrs else b.integers(inputs[1], "the count")[0]
    axis = node.attrs.get("axis", -1) % x.rank
    if count < 1:
        raise Unsupported("it makes a tensor without elements")
    settings: dict[str, Any] = {} if axis == x.rank - 1 else {"axis": axis}
    if not node.attrs.get("largest", 1):
        settings["largest"] = False
    values, places = b.desk.bind_all(
        [b.wish(node), f"{b.wish(node)}_places"], call("top_k", x.expr, count, **settings))
    return [values, b.bind(node, call("cast", places.expr, Word("i64")), 1)]


def reverse_sequence(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """The first elements of each row turned round, as many as its length says."""
    x, lengths = b.tensor(inputs[0]), b.tensor(inputs[1])
    time, batch = node.attrs.get("time_axis", 0), node.attrs.get("batch_axis", 1)
    step = _along(call("iota", x.shape[time], Word(lengths.dtype)), x, time)
    length = _along(lengths.expr, x, batch)
    turned = Infix("-", Infix("-", length, 1), step)
    places = call("where", Infix("<", step, length), turned, step)
    index = b.desk.bind(f"{b.wish(node)}_places", call("broadcast", places, list(x.shape)))
    return b.bind(node, call("lookup_along", x.expr, index.expr, time))


def _along(vector: Expr, x: Tensor, axis: int) -> Expr:
    shape: list[Any] = [1] * x.rank
    shape[axis] = x.shape[axis]
    return call("reshape", vector, shape)


def running_product(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """CumProd: for each place the product over a triangle of all pairs of places."""
    axis = b.integers(inputs[1], "the axis")[0] % inputs[0].rank
    order = axis_last(inputs[0].rank, axis)
    x = b.in_order(b.tensor(inputs[0]), order)
    size = x.type.shape[-1]
    backwards, exclusive = node.attrs.get("reverse", 0), node.attrs.get("exclusive", 0)
    sign = (">" if exclusive else ">=") if not backwards else ("<" if exclusive else "<=")
    mask = Infix(sign, call("expand", call("iota", size), -1), call("iota", size))
    kept = call("where", mask, call("expand", x.expr, -2), 1)
    return b.bind(node, call("prod", kept, over=-1), order=order)


def max_unpool(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """Each element at the place of the flattened result that the index names."""
    x, index = b.tensor(inputs[0]), b.tensor(inputs[1])
    own = [fixed(d) for d in x.shape]
    shape = [*own[:2], *_unpooled(node, own[2:])]
    if len(inputs) > 2 and inputs[2] is not None and b.integers(inputs[2], "the shape") != shape:
        # places are counted in the tensor that was pooled
        raise Unsupported("a result of other sizes than what was pooled")
    count = math.prod(own)
    rows = call("scatter_add", call("reshape", index.expr, [count]),
                call("reshape", x.expr, [count, 1]), math.prod(shape))
    return b.bind(node, call("reshape", rows, shape))


def _unpooled(node: Node, sizes: list[int]) -> list[int]:
    """The sizes of space before it was pooled."""
    steps, n = steps_of(node, node.attrs["kernel_shape"]), len(sizes)
    pads = node.attrs.get("pads") or [0] * (2 * n)
    sides = zip(pads[:n], pads[n:], strict=True)
    return [(size - 1) * stride + w - low - high for size, stride, w, (low, high) in zip(
        sizes, steps.strides, steps.window, sides, strict=True)]


TRANSLATIONS: dict[str, Translate] = {
    "ScatterElements": scatter_elements, "Scatter": scatter_elements, "GatherND": gather_nd,
    "ScatterND": scatter_nd, "TopK": top_k, "ReverseSequence": reverse_sequence,
    "CumProd": running_product, "MaxUnpool": max_unpool,
}  # fmt: skip
