"""Functions that arrange the elements of tensors in another way."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.indexing import Axis, slice_bounds
from flowc.lower.limits import MAX_ITEMS
from flowc.lower.values import POISON, Arg, Tensor, dims_of
from flowc.source import Span
from flowc_runtime.dims import Dim, NotExact, divide, product

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer


def _reshape(lw: Lowerer, span: Span, x: Arg, shape: Arg) -> Any:
    if not ask.tensor(lw, "reshape", x):
        return POISON
    dims = ask.shape(lw, "reshape", shape)
    if dims is None:
        return POISON
    open_axes = [i for i, dim in enumerate(dims) if dim == -1]
    if len(open_axes) > 1:
        lw.report(errors.wants("reshape", "at most one -1 in the shape", shape))
        return POISON
    if open_axes:
        rest = product(tuple(d for d in dims if d != -1))
        try:
            missing = divide(x.value.type.size, rest)
        except NotExact:
            lw.report(errors.reshape_open(x, shape, rest, lw))
            return POISON
        dims = tuple(missing if d == -1 else d for d in dims)
    if product(dims) != x.value.type.size:
        lw.report(errors.reshape_size(x, shape, product(dims), lw))
        return POISON
    return lw.emit("reshape", [x], span, shape=dims)


def _transpose(lw: Lowerer, span: Span, x: Arg, a: Arg, b: Arg) -> Any:
    if not ask.tensor(lw, "transpose", x):
        return POISON
    first, second = ask.axis(lw, a, x.value), ask.axis(lw, b, x.value)
    if first is None or second is None:
        return POISON
    perm = list(range(x.value.type.rank))
    perm[first], perm[second] = perm[second], perm[first]
    return lw.emit("transpose", [x], span, perm=tuple(perm))


def _permute(lw: Lowerer, span: Span, x: Arg, order: Arg) -> Any:
    if not ask.tensor(lw, "permute", x):
        return POISON
    items = order.value if isinstance(order.value, (list, tuple)) else [order.value]
    perm = [ask.axis(lw, Arg(i, order.span), x.value) for i in items]
    if None in perm:
        return POISON
    if sorted(p for p in perm if p is not None) != list(range(x.value.type.rank)):
        lw.report(errors.wants("permute", f"each of the {x.value.type.rank} axes once", order))
        return POISON
    return lw.emit("transpose", [x], span, perm=tuple(perm))


def _broadcast(lw: Lowerer, span: Span, x: Arg, shape: Arg) -> Any:
    if not ask.tensor(lw, "broadcast", x):
        return POISON
    dims = ask.shape(lw, "broadcast", shape)
    return POISON if dims is None else lw.emit("broadcast", [x], span, shape=dims)


def _expand(lw: Lowerer, span: Span, x: Arg, axis: Arg) -> Any:
    if not ask.tensor(lw, "expand", x):
        return POISON
    at = ask.axis(lw, axis, x.value, extra=1)
    if at is None:
        return POISON
    shape = x.value.type.shape
    return lw.emit("reshape", [x], span, shape=(*shape[:at], 1, *shape[at:]))


def _squeeze(lw: Lowerer, span: Span, x: Arg, axis: Arg) -> Any:
    if not ask.tensor(lw, "squeeze", x):
        return POISON
    axes = ask.axes(lw, axis, x.value)
    if axes is None:
        return POISON
    shape = x.value.type.shape
    for at in axes:
        if shape[at] != 1:
            lw.report(errors.squeeze_of_many(x, at, shape[at]))
            return POISON
    return lw.emit("reshape", [x], span,
                   shape=tuple(d for at, d in enumerate(shape) if at not in axes))


def _split(lw: Lowerer, span: Span, x: Arg, parts: Arg, axis: Arg) -> Any:
    if not ask.tensor(lw, "split", x):
        return POISON
    at = ask.axis(lw, axis, x.value)
    if at is None:
        return POISON
    sizes = _sizes(lw, x, parts, x.value.type.shape[at])
    if sizes is None:
        return POISON
    stops = list(accumulate(sizes, initial=0))
    return tuple(sliced(lw, span, x, {at: (a, b, 1)}) for a, b in pairwise(stops))


def _sizes(lw: Lowerer, x: Arg, parts: Arg, size: Dim) -> list[int] | None:
    """What each part has of a dimension: an equal share of it, or what the list says."""
    if isinstance(parts.value, list):
        if dims_of(parts.value) is not None and size == sum(parts.value) and all(
                isinstance(p, int) and p >= 1 for p in parts.value):
            return list(parts.value)
        lw.report(errors.uneven_split(x, parts, size))
        return None
    count = ask.integer(lw, "split", parts)
    if count is None:
        return None
    if not isinstance(size, int) or count < 1 or size % count:
        lw.report(errors.uneven_split(x, parts, size))
        return None
    if count > MAX_ITEMS:
        lw.report(errors.list_too_long(parts.span, MAX_ITEMS))
        return None
    return [size // count] * count


def sliced(lw: Lowerer, span: Span, x: Arg, axes: Mapping[int, Axis]) -> Any:
    """`range(start, stop, step)` of some axes of x, and the others whole."""
    shape = x.value.type.shape
    whole = [(0, d if isinstance(d, int) else None, 1) for d in shape]
    bounds = [axes.get(axis, all_of_it) for axis, all_of_it in enumerate(whole)]
    starts, stops, steps = zip(*bounds, strict=True)
    return lw.emit("slice", [x], span, starts=starts, stops=stops, steps=steps)


def _slice(
    lw: Lowerer, span: Span, x: Arg, start: Arg, stop: Arg, step: Arg, axis: Arg
) -> Any:
    if not ask.tensor(lw, "slice", x):
        return POISON
    at = ask.axis(lw, axis, x.value)
    for bound in (start, stop, step):
        if bound.value is not None and ask.integer(lw, "slice", bound) is None:
            return POISON
    if at is None:
        return POISON
    size = x.value.type.shape[at]
    bounds = slice_bounds(lw, span, size, start.value, stop.value, step.value)
    return POISON if bounds is None else sliced(lw, span, x, {at: bounds})


def _tile(lw: Lowerer, span: Span, x: Arg, repeats: Arg) -> Any:
    """Each axis with one before it, along which it is repeated; then both are one."""
    if not ask.tensor(lw, "tile", x):
        return POISON
    shape, counts = x.value.type.shape, dims_of(repeats.value)
    if counts is None or len(counts) != len(shape) or any(
            isinstance(c, int) and c < 1 for c in counts):
        lw.report(errors.wants("tile", f"a number of times for each of {len(shape)} axes", repeats))
        return POISON
    pairs = list(zip(counts, shape, strict=True))
    apart = lw.emit("reshape", [x], span, shape=tuple(d for _, n in pairs for d in (1, n)))
    spread = lw.emit("broadcast", [Arg(apart, span)], span,
                     shape=tuple(d for pair in pairs for d in pair))
    return lw.emit("reshape", [Arg(spread, span)], span, shape=tuple(c * n for c, n in pairs))


def _concat(lw: Lowerer, span: Span, parts: Arg, axis: Arg) -> Any:
    if isinstance(parts.value, Tensor) and isinstance(axis.value, Tensor):
        lw.report(errors.no_list(parts, axis))
        return POISON
    tensors = _tensors(lw, "concat", parts)
    if tensors is None:
        return POISON
    at = ask.axis(lw, axis, tensors[0].value)
    return POISON if at is None else lw.emit("concat", tensors, span, axis=at)


def _stack(lw: Lowerer, span: Span, parts: Arg, axis: Arg) -> Any:
    tensors = _tensors(lw, "stack", parts)
    if tensors is None:
        return POISON
    at = ask.axis(lw, axis, tensors[0].value, extra=1)
    if at is None:
        return POISON
    expanded = [Arg(_expand(lw, span, x, Arg(at, span)), x.span) for x in tensors]
    return lw.emit("concat", expanded, span, axis=at)


def _tensors(lw: Lowerer, function: str, parts: Arg) -> list[Arg] | None:
    if not isinstance(parts.value, (list, tuple, Tensor)) or parts.value == []:
        lw.report(errors.wants(function, "a list of tensors", parts))
        return None
    items = [parts.value] if isinstance(parts.value, Tensor) else list(parts.value)
    for item in items:
        if not isinstance(item, Tensor):
            lw.report(errors.no_tensor_among(function, parts, item))
            return None
    return [Arg(item, parts.span) for item in items]


FUNCTIONS = (
    builtin("reshape", "x in another shape; one dimension may be -1", _reshape, "x", "shape"),
    builtin("transpose", "x with two axes exchanged, the last two by default", _transpose,
            "x", ("a", -2), ("b", -1)),
    builtin("permute", "x with its axes in the given order", _permute, "x", "order"),
    builtin("broadcast", "x repeated to a shape, by the rules of operators", _broadcast,
            "x", "shape"),
    builtin("expand", "x with an axis of size 1 put in", _expand, "x", "axis"),
    builtin("squeeze", "x without an axis of size 1, or several", _squeeze, "x", "axis"),
    builtin("slice", "the elements from `start` to before `stop` along an axis, by `step`; "
            "negative numbers count from the end", _slice,
            "x", ("start", None), ("stop", None), ("step", None), ("axis", -1)),
    builtin("split", "x in equal parts along an axis, or in parts of the sizes in a list", _split,
            "x", "parts", ("axis", -1)),
    builtin("tile", "x repeated along each axis as often as the list says", _tile,
            "x", "repeats"),
    builtin("concat", "a list of tensors one after the other along an axis", _concat,
            "parts", ("axis", -1)),
    builtin("stack", "a list of equal tensors along a new axis", _stack, "parts", ("axis", 0)),
)
