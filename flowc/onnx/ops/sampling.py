"""GridSample: elements of an image at places that a tensor says, between the pixels too."""

from __future__ import annotations

import math
from functools import partial, reduce
from itertools import product
from typing import Any

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.ops.images import as_image
from flowc.onnx.text import Expr, Index, Infix, Word, call
from flowc.onnx.values import Tensor, fixed

Tap = tuple[Expr, Expr]  # the index along an axis, and its weight


def grid_sample(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """Sums over the corners around each place; each corner is looked up in the flattened image."""
    x, grid = as_image(b, inputs[0]), b.tensor(inputs[1])
    if grid.rank != x.rank:
        raise Unsupported(f"a grid of {grid.rank} axes for an image of {x.rank}")
    count, *space, channels = (fixed(d) for d in x.type.shape)
    mode = {"bilinear": "linear", "bicubic": "cubic"}.get(
        node.attrs.get("mode", "linear"), node.attrs.get("mode", "linear"))
    wish = b.wish(node)
    axes = [_taps(b, node, f"{wish}_{i}", grid, len(space) - 1 - i, size, mode)
            for i, size in enumerate(space)]
    shape = list(grid.type.shape[:-1])
    # where the image of each example begins in the flattened table
    first = Infix("*", call("iota", count), math.prod(space))
    base = b.desk.bind(f"{wish}_first", call("reshape", first, [count, *[1] * len(space)]))
    rows = count * math.prod(space)
    table = b.desk.bind(f"{wish}_table", call("reshape", x.expr, [rows, channels]))
    parts: list[Expr] = []
    for corner in product(*axes):
        place: Expr = base.expr
        for i, (index, _) in enumerate(corner):
            step = math.prod(space[i + 1 :])
            place = Infix("+", place, index if step == 1 else Infix("*", index, step))
        weight = reduce(partial(Infix, "*"), (share for _, share in corner))
        factor = call("reshape", weight, [*shape, 1])
        part = Infix("*", call("lookup", table.expr, place), factor)
        parts.append(b.desk.bind(f"{wish}_corner", part).expr)
    return b.bind(node, reduce(partial(Infix, "+"), parts), order=x.order)


def _taps(
    b: Bench, node: Node, wish: str, grid: Tensor, column: int, size: int, mode: str
) -> list[Tap]:
    """The elements of one axis around each place, with their weights; outside they are zero."""
    aligned = bool(node.attrs.get("align_corners", 0))
    padding = node.attrs.get("padding_mode", "zeros")
    items = ", ".join([*[":"] * (grid.rank - 1), str(column)])
    unit: Expr = Infix("+", Index(grid.expr, items), 1.0)
    if aligned:
        place: Expr = Infix("*", unit, (size - 1) / 2)
    else:
        place = Infix("-", Infix("*", unit, size / 2), 0.5)
    at = b.desk.bind(wish, place)
    at = _kept_inside(b, wish, at, size, padding, aligned)
    if mode == "nearest":
        low = b.desk.bind(f"{wish}_near", call("round", at.expr))
        return [_tap(b, wish, low, 0, 1.0, size, padding, aligned)]
    low = b.desk.bind(f"{wish}_low", call("floor", at.expr))
    t = b.desk.bind(f"{wish}_rest", Infix("-", at.expr, low.expr))
    if mode == "linear":
        shares: list[tuple[int, Expr]] = [(0, Infix("-", 1.0, t.expr)), (1, t.expr)]
    elif mode == "cubic":
        shares = [(i, _cubic(b, wish, Infix("-", t.expr, float(i)), i)) for i in (-1, 0, 1, 2)]
    else:
        raise Unsupported(f"the mode {mode}")
    return [_tap(b, wish, low, i, share, size, padding, aligned) for i, share in shares]


def _cubic(b: Bench, wish: str, distance: Expr, i: int) -> Expr:
    """Keys's kernel with a = -0.75, near the place or one further."""
    d = b.desk.bind(f"{wish}_away", call("abs", distance)).expr
    a = -0.75
    if i in (0, 1):
        inner: Any = Infix("-", Infix("*", d, a + 2), a + 3)
        return Infix("+", Infix("*", Infix("*", inner, d), d), 1.0)
    inner = Infix("+", Infix("*", Infix("-", Infix("*", d, a), 5 * a), d), 8 * a)
    return Infix("-", Infix("*", inner, d), 4 * a)


def _tap(
    b: Bench, wish: str, low: Tensor, offset: int, share: Any, size: int, padding: str,
    aligned: bool,
) -> Tap:
    index: Tensor = low
    if offset:
        index = b.desk.bind(f"{wish}_tap", Infix("+", low.expr, float(offset)))
    if padding != "zeros":
        index = _kept_inside(b, wish, index, size, padding, aligned)
        inside: Expr = call("clip", index.expr, 0.0, float(size - 1))
        weight: Expr = share if not isinstance(share, float) else call(
            "fill", list(low.type.shape), share)
        return b.desk.bind(f"{wish}_at", call("cast", inside, Word("i32"))).expr, weight
    inside = call("clip", index.expr, 0.0, float(size - 1))
    known = b.desk.bind(f"{wish}_in", Infix("==", inside, index.expr))
    weight = call("where", known.expr, share, call("fill", list(low.type.shape), 0.0))
    return b.desk.bind(f"{wish}_at", call("cast", inside, Word("i32"))).expr, weight


def _kept_inside(
    b: Bench, wish: str, at: Tensor, size: int, padding: str, aligned: bool
) -> Tensor:
    """Places outside brought to the border, or reflected at it."""
    if padding == "zeros":
        return at
    if padding == "border":
        return b.desk.bind(f"{wish}_held", call("clip", at.expr, 0.0, float(size - 1)))
    low, high = (0.0, size - 1.0) if aligned else (-0.5, size - 0.5)
    span = high - low
    if span == 0:
        return b.desk.bind(f"{wish}_held", Infix("*", at.expr, 0.0))
    # the distance from the lower border walks up and down between 0 and the span
    phase = b.desk.bind(f"{wish}_phase", Infix("%", Infix("-", at.expr, low), 2 * span))
    back = Infix("-", span, call("abs", Infix("-", phase.expr, span)))
    return b.desk.bind(f"{wish}_held", Infix("+", back, low))


TRANSLATIONS: dict[str, Translate] = {"GridSample": grid_sample}
