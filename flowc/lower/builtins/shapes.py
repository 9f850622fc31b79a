"""Functions that arrange the elements of tensors in another way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.values import POISON, Arg, Tensor
from flowc.source import Span
from flowc_runtime.dims import NotExact, divide, product

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
    at = ask.axis(lw, axis, x.value)
    if at is None:
        return POISON
    shape = x.value.type.shape
    if shape[at] != 1:
        lw.report(errors.squeeze_of_many(x, axis, shape[at]))
        return POISON
    return lw.emit("reshape", [x], span, shape=(*shape[:at], *shape[at + 1 :]))


def _split(lw: Lowerer, span: Span, x: Arg, parts: Arg, axis: Arg) -> Any:
    if not ask.tensor(lw, "split", x):
        return POISON
    count, at = ask.integer(lw, "split", parts), ask.axis(lw, axis, x.value)
    if count is None or at is None:
        return POISON
    size = x.value.type.shape[at]
    if not isinstance(size, int) or count < 1 or size % count:
        lw.report(errors.uneven_split(x, parts, size))
        return POISON
    width = size // count
    return tuple(_part(lw, span, x, at, i * width, (i + 1) * width) for i in range(count))


def _part(lw: Lowerer, span: Span, x: Arg, axis: int, start: int, stop: int) -> Any:
    shape = x.value.type.shape
    starts = tuple(start if i == axis else 0 for i in range(len(shape)))
    stops = tuple(
        stop if i == axis else (d if isinstance(d, int) else None) for i, d in enumerate(shape)
    )
    return lw.emit("slice", [x], span, starts=starts, stops=stops, steps=(1,) * len(shape))


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


def _pad(lw: Lowerer, span: Span, x: Arg, before: Arg, after: Arg, value: Arg) -> Any:
    if not ask.tensor(lw, "pad", x):
        return POISON
    sides = []
    for side in (before, after):
        items = side.value if isinstance(side.value, (list, tuple)) else None
        if items is None or len(items) != x.value.type.rank or not all(
                isinstance(i, int) and i >= 0 for i in items):
            wanted = f"a list with a size from 0 for each of the {x.value.type.rank} axes"
            lw.report(errors.wants("pad", wanted, side))
            return POISON
        sides.append(tuple(items))
    if not isinstance(value.value, (int, float)):
        lw.report(errors.wants("pad", "a number", value))
        return POISON
    return lw.emit("pad", [x], span, before=sides[0], after=sides[1], value=float(value.value))


FUNCTIONS = (
    builtin("reshape", "x in another shape; one dimension may be -1", _reshape, "x", "shape"),
    builtin("transpose", "x with two axes exchanged, the last two by default", _transpose,
            "x", ("a", -2), ("b", -1)),
    builtin("permute", "x with its axes in the given order", _permute, "x", "order"),
    builtin("broadcast", "x repeated to a shape, by the rules of operators", _broadcast,
            "x", "shape"),
    builtin("expand", "x with an axis of size 1 put in", _expand, "x", "axis"),
    builtin("squeeze", "x without an axis of size 1", _squeeze, "x", "axis"),
    builtin("split", "x in equal parts along an axis", _split, "x", "parts", ("axis", -1)),
    builtin("concat", "a list of tensors one after the other along an axis", _concat,
            "parts", ("axis", -1)),
    builtin("stack", "a list of equal tensors along a new axis", _stack, "parts", ("axis", 0)),
    builtin("pad", "x with `value` around it; sizes for each axis", _pad,
            "x", "before", "after", ("value", 0.0)),
)
