"""Shapes, and moving elements: reshaping, cutting, joining, padding."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import DTYPE_OF, Node
from flowc.onnx.text import Index, Infix, Word, call
from flowc.onnx.values import Known, Tensor, Value, order_of, order_without, settled, sizes
from flowc_runtime.dims import Dim, NotExact, Poly, divide, product
from flowc_runtime.types import DTYPES

# --- what is known without any step -------------------------------------------------------------


def constant(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    for name, value in node.attrs.items():
        if isinstance(value, np.ndarray):
            return Known(value, node.outputs[0])
        if name.startswith("value_") and value is not None:
            dtype = {"f": np.float32, "i": np.int64}.get(name[6])
            return Known(np.array(value, dtype), node.outputs[0])
    raise Unsupported("a constant of a kind that flowc has not")


def shape(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    dims = tuple(inputs[0].shape)
    return Known(sizes(dims[node.attrs.get("start", 0): node.attrs.get("end", None)]))


def size(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    total = product(tuple(inputs[0].shape))
    array = np.empty((), object)
    array[()] = total
    return Known(settled(array))


def identity(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    value: Value = inputs[0]
    return value


def filled(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    """ConstantOfShape: known where the shape is small and closed, a `fill` otherwise."""
    value = node.attrs.get("value")
    item = np.float32(0) if value is None else value.reshape(-1)[0]
    dims = b.ints(inputs[0], "the shape")
    closed = [d for d in dims if isinstance(d, int)]
    if len(closed) == len(dims) and math.prod(closed) <= 1 << 16:
        return Known(np.full(closed, item), node.outputs[0])
    dtype = Known(np.asarray(item)).dtype
    return b.bind(node, call("fill", list(dims), item, Word(dtype)))


IN_ANY_FORM: dict[str, Translate] = {
    "Constant": constant, "Shape": shape, "Size": size, "Identity": identity,
    "ConstantOfShape": filled,
}  # fmt: skip


# --- the same elements in another arrangement ---------------------------------------------------


def reshaped(b: Bench, node: Node, x: Tensor, dims: list[Dim]) -> Tensor:
    """x in another shape. Axes of size 1 lie where they like, so they need no moving first."""
    if list(x.shape) == dims:
        return x
    real = [a for a, size in zip(x.axes, x.type.shape, strict=True) if size != 1]
    if real != sorted(real):
        x = b.in_order(x, None)
    return b.bind(node, call("reshape", x.expr, dims))


def reshape(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    wanted = list(node.attrs["shape"]) if "shape" in node.attrs else b.ints(
        inputs[1], "the shape")
    if not node.attrs.get("allowzero", 0):
        wanted = [x.shape[i] if d == 0 and i < x.rank else d for i, d in enumerate(wanted)]
    return reshaped(b, node, x, _closed(wanted, x.shape))


def _closed(wanted: list[Dim], shape: tuple[Dim, ...]) -> list[Dim]:
    """The shape with its -1 worked out."""
    if -1 not in wanted:
        return wanted
    rest = product(tuple(d for d in wanted if d != -1))
    try:
        missing = divide(product(shape), rest)
    except NotExact as error:
        raise Unsupported(f"it cannot be reshaped so for every batch: {error}") from None
    return [missing if d == -1 else d for d in wanted]


def flatten(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    axis = node.attrs.get("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    return reshaped(b, node, x, [product(x.shape[:axis]), product(x.shape[axis:])])


def _axes(b: Bench, node: Node, inputs: list[Operand]) -> list[int] | None:
    if len(inputs) > 1 and inputs[1] is not None:
        return b.integers(inputs[1], "the axes")
    return node.attrs.get("axes")


def squeeze(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    axes = _axes(b, node, inputs)
    gone = {a % x.rank for a in axes} if axes is not None else {
        i for i, d in enumerate(x.shape) if d == 1}
    if any(x.shape[a] != 1 for a in gone):
        raise Unsupported("it squeezes an axis that is not 1")
    if x.order is not None and len(x.shape) - len(gone) > 2:
        dims = [d for a, d in zip(x.order, x.type.shape, strict=True) if a not in gone]
        return b.bind(node, call("reshape", x.expr, dims), order=order_without(x.order, gone))
    return reshaped(b, node, x, [d for i, d in enumerate(x.shape) if i not in gone])


def unsqueeze(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    axes = _axes(b, node, inputs) or []
    rank = x.rank + len(axes)
    new = {a % rank for a in axes}
    old = iter(x.shape)
    return reshaped(b, node, x, [1 if i in new else next(old) for i in range(rank)])


def transpose(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """Nothing happens: only the order in which ONNX sees the axes is another one."""
    x = b.as_it_lies(inputs[0])
    perm = node.attrs.get("perm") or list(range(x.rank))[::-1]
    if sorted(perm) != list(range(x.rank)):
        raise Unsupported(f"{perm} is no order of {x.rank} axes")
    return replace(x, order=order_of([perm.index(a) for a in x.axes]))


# --- cutting and joining ------------------------------------------------------------------------


def cut(x: Tensor, parts: dict[int, tuple[int, int, int]]) -> Index | None:
    """`x[a:b, :, ::-1]` for some of ONNX's axes; None where everything stays."""
    items = [":"] * x.rank
    for axis, (start, stop, step) in parts.items():
        here = x.place(axis)
        length = x.type.shape[here]
        if (start, stop, step) == (0, length, 1):
            continue
        first = "" if step > 0 and start == 0 or step < 0 and start + 1 == length else start
        last = "" if step > 0 and stop == length or stop < 0 else stop
        items[here] = f"{first}:{last}" + (f":{step}" if step != 1 else "")
    while items and items[-1] == ":":
        items.pop()
    return Index(x.expr, ", ".join(items)) if items else None


def slice_(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    x = b.as_it_lies(inputs[0])
    if "starts" in node.attrs:
        starts, ends = node.attrs["starts"], node.attrs["ends"]
        axes, steps = node.attrs.get("axes"), None
    else:
        starts, ends = b.ints(inputs[1], "the starts"), b.ints(inputs[2], "the ends")
        given: list[Any] = [*inputs[3:], None, None]
        axes = None if given[0] is None else b.integers(given[0], "the axes")
        steps = None if given[1] is None else b.integers(given[1], "the steps")
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    parts = {}
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        part = _part(start, end, step, x.shape[axis % x.rank])
        if part is not None:
            parts[axis % x.rank] = part
    gone = {a: len(range(*p)) for a, p in parts.items()}
    if 0 in gone.values():
        return nothing(x, gone)
    expr = cut(x, parts)
    return x if expr is None else b.bind(node, expr, order=x.order)


def nothing(x: Tensor, lengths: dict[int, int]) -> Known:
    """A part without elements: no tensor of the language, but good for joining with others."""
    dims = [lengths.get(i, d) for i, d in enumerate(x.shape)]
    closed = [d for d in dims if isinstance(d, int)]
    if len(closed) < len(dims):
        raise Unsupported("it makes a tensor without elements")
    return Known(np.zeros(closed, DTYPES[x.dtype].storage))


def _part(start: Dim, end: Dim, step: int, length: Dim) -> tuple[int, int, int] | None:
    """Bounds that fit the axis; None where it is taken whole."""
    whole = start == 0 and step == 1 and (
        end == length or isinstance(end, int) and end >= TO_THE_END)
    if whole:
        return None
    if isinstance(start, Poly) or isinstance(end, Poly) or isinstance(length, Poly):
        raise Unsupported("it cuts along a size that depends on the batch")
    first, last, stride = slice(start, None if end <= -(1 << 31) else end, step).indices(length)
    return first, last, stride


# Exporters write the end of an axis of open length as a number like 2147483647.
TO_THE_END = 1_000_000_000


def split(b: Bench, node: Node, inputs: list[Operand]) -> list[Value]:
    x = b.as_it_lies(inputs[0])
    axis = node.attrs.get("axis", 0) % x.rank
    length = x.shape[axis]
    if isinstance(length, Poly):
        raise Unsupported("it splits along a size that depends on the batch")
    lengths = node.attrs.get("split")
    if len(inputs) > 1 and inputs[1] is not None:
        lengths = b.integers(inputs[1], "the sizes of the parts")
    if not lengths:
        count = node.attrs.get("num_outputs", len(node.outputs))
        each = -(-length // count)
        lengths = [min(each, length - i * each) for i in range(count)]
    here = x.place(axis)
    wishes = [b.wish(node, i) for i in range(len(node.outputs))]
    if len(set(lengths)) == 1 and len(lengths) > 1 and all(node.outputs):
        parts = b.desk.bind_all(wishes, call("split", x.expr, len(lengths), here))
        return [replace(p, order=x.order) for p in parts]
    full = [i for i, n in enumerate(lengths) if n]
    parts = [x]
    if len(full) > 1:
        sizes_ = [lengths[i] for i in full]
        parts = b.desk.bind_all([wishes[i] for i in full], call("split", x.expr, sizes_, here))
    made = {i: replace(p, order=x.order) for i, p in zip(full, parts, strict=True)}
    return [made.get(i) or nothing(x, {axis: 0}) for i in range(len(lengths))]


def concat(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    tensors = [v for v in inputs if isinstance(v, Tensor)]
    order = next((t.order for t in tensors if t.order is not None), None)
    rank = inputs[0].rank
    axis = node.attrs.get("axis", 1) % rank
    parts = []
    for value in inputs:
        if 0 in value.shape:
            continue
        parts.append(b.in_order(b.as_it_lies(value), order).expr)
    here = axis if order is None else order.index(axis)
    if here == rank - 1:
        return b.bind(node, call("concat", parts), order=order)
    return b.bind(node, call("concat", parts, axis=here), order=order)


def expand(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """ONNX repeats both ways: a 1 in the wanted shape keeps what the tensor has."""
    x = b.as_it_lies(inputs[0])
    wanted = b.ints(inputs[1], "the shape")
    rank = max(x.rank, len(wanted))
    x = x if x.rank == rank and x.order is not None else b.in_order(x, None)
    own = (1,) * (rank - x.rank) + tuple(x.shape)
    wanted = [*[1] * (rank - len(wanted)), *wanted]
    dims = [w if o == 1 else o for o, w in zip(own, wanted, strict=True)]
    if dims == list(own) and x.rank == rank:
        return x
    there = dims if x.order is None else [dims[a] for a in x.order]
    return b.bind(node, call("broadcast", x.expr, there), order=x.order)


def tile(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    counts = b.integers(inputs[1], "the repeats")
    if min(counts, default=1) < 1:
        raise Unsupported("it makes a tensor without elements")
    there = counts if x.order is None else [counts[a] for a in x.order]
    return x if set(counts) <= {1} else b.bind(node, call("tile", x.expr, there), order=x.order)


def pad(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    given: list[Any] = [*inputs[1:], None, None, None]
    pads = node.attrs.get("pads", node.attrs.get("paddings"))
    pads = b.integers(given[0], "the padding") if pads is None else pads
    axes = list(range(x.rank)) if given[2] is None else [
        a % x.rank for a in b.integers(given[2], "the axes")]
    before, after = [0] * x.rank, [0] * x.rank
    for i, axis in enumerate(axes):
        here = x.place(axis)
        before[here], after[here] = pads[i], pads[i + len(axes)]
    value = given[1]
    if isinstance(value, Known) and value.array.dtype.kind == "f" and not np.isfinite(
            value.array).all():
        value = b.tensor(value)
    if not isinstance(value, Tensor):
        value = node.attrs.get("value", 0.0) if value is None else b.scalar(value, "the value")
    x = _cropped(b, node, x, before, after)
    before, after = [max(n, 0) for n in before], [max(n, 0) for n in after]
    if not any(before) and not any(after):
        return x
    if isinstance(value, Tensor):
        return _padded_by(b, node, x, before, after, value)
    return padded(b, node, x, before, after, node.attrs.get("mode", "constant"), value)


def _cropped(b: Bench, node: Node, x: Tensor, before: list[int], after: list[int]) -> Tensor:
    """Negative padding takes away."""
    if min(*before, *after, 0) == 0:
        return x
    parts = {}
    for axis, length, low, high in zip(x.axes, x.type.shape, before, after, strict=True):
        if low < 0 or high < 0:
            if isinstance(length, Poly):
                raise Unsupported("it cuts along a size that depends on the batch")
            parts[axis] = (max(-low, 0), length - max(-high, 0), 1)
    expr = cut(x, parts)
    return x if expr is None else b.bind(node, expr, order=x.order)


def _padded_by(
    b: Bench, node: Node, x: Tensor, before: list[int], after: list[int], value: Tensor
) -> Tensor:
    """Padding with a number that only a step knows: chosen where the tensor does not reach."""
    inside = call("pad", call("fill", list(x.type.shape), 1.0), before, after)
    number = call("reshape", value.expr, []) if value.rank else value.expr
    around = call("pad", x.expr, before, after)
    return b.bind(node, call("where", Infix(">", inside, 0), around, number), order=x.order)


def padded(
    b: Bench, node: Node, x: Tensor, before: list[int], after: list[int], mode: str, value: Any
) -> Tensor:
    if mode != "constant":
        return b.bind(node, call("pad", x.expr, before, after, mode=mode), order=x.order)
    if not value:
        return b.bind(node, call("pad", x.expr, before, after), order=x.order)
    return b.bind(node, call("pad", x.expr, before, after, value), order=x.order)


def triangle(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """Trilu: the elements on one side of a diagonal, chosen by comparing rows with columns."""
    x = b.tensor(inputs[0])
    k = b.integers(inputs[1], "the diagonal")[0] if len(inputs) > 1 and inputs[1] else 0
    rows, columns = x.shape[-2:]
    row = call("expand", call("iota", rows), -1)
    shifted = row if k == 0 else Infix("+", row, k)
    sign = ">=" if node.attrs.get("upper", 1) else "<="
    mask = b.bind(node, Infix(sign, call("iota", columns), shifted), wish="triangle")
    zero = False if x.dtype == "bool" else 0
    return b.bind(node, call("where", mask.expr, x.expr, zero))


def depth_to_space(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x, block = b.tensor(inputs[0]), node.attrs["blocksize"]
    n, c, h, w = x.shape
    depth = divide(c, block * block)
    crd = node.attrs.get("mode", "DCR") == "CRD"
    first = [n, depth, block, block, h, w] if crd else [n, block, block, depth, h, w]
    perm = [0, 1, 4, 2, 5, 3] if crd else [0, 3, 4, 1, 5, 2]
    moved = call("permute", call("reshape", x.expr, first), perm)
    return b.bind(node, call("reshape", moved, [n, depth, h * block, w * block]))


def space_to_depth(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x, block = b.tensor(inputs[0]), node.attrs["blocksize"]
    n, c, h, w = x.shape
    high, wide = divide(h, block), divide(w, block)
    apart = call("reshape", x.expr, [n, c, high, block, wide, block])
    crd = node.attrs.get("mode", "DCR") == "CRD"
    moved = call("permute", apart, [0, 1, 3, 5, 2, 4] if crd else [0, 3, 5, 1, 2, 4])
    return b.bind(node, call("reshape", moved, [n, c * block * block, high, wide]))


def eye_like(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    rows, columns = inputs[0].shape
    dtype = DTYPE_OF.get(node.attrs["dtype"]) if "dtype" in node.attrs else inputs[0].dtype
    if dtype is None:
        raise Unsupported("of a dtype that flowc has not")
    k = node.attrs.get("k", 0)
    row = call("expand", call("iota", rows), -1)
    same = Infix("==", call("iota", columns), row if k == 0 else Infix("+", row, k))
    return b.bind(node, call("cast", same, Word(dtype)))


IN_ANY_ORDER: dict[str, Translate] = {
    "Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
    "Transpose": transpose, "Slice": slice_, "Split": split, "Concat": concat, "Expand": expand,
    "Tile": tile, "Pad": pad,
}  # fmt: skip
TRANSLATIONS: dict[str, Translate] = {
    "Trilu": triangle, "DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth,
    "EyeLike": eye_like,
}
