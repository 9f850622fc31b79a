"""`x[...]`: static slices of tensors, and elements of lists and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.scope import Scope
from flowc.lower.values import POISON, Arg, Tensor
from flowc.source import Span
from flowc.syntax import tree as t
from flowc_runtime.dims import Dim

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

# One axis of a slice: start, stop (None: to the end of an axis taken whole), step.
Axis = tuple[int, int | None, int]


def index_value(lw: Lowerer, expr: t.Index, scope: Scope) -> Any:
    value = lw.evaluate(expr.value, scope)
    if value is POISON:
        return POISON
    if isinstance(value, Tensor):
        return _index_tensor(lw, expr, Arg(value, expr.value.span), scope)
    if isinstance(value, (list, tuple)):
        return _index_list(lw, expr, value, scope)
    lw.report(errors.no_index(expr, value))
    return POISON


def _index_list(lw: Lowerer, expr: t.Index, items: Any, scope: Scope) -> Any:
    if len(expr.items) != 1:
        lw.report(errors.too_many_indices(expr, 1))
        return POISON
    item = expr.items[0]
    if isinstance(item, t.Slice):
        bounds = [_bound(lw, b, scope) for b in (item.start, item.stop, item.step)]
        if POISON in bounds or bounds[2] == 0:
            return POISON
        return items[slice(*bounds)]
    position = _bound(lw, item, scope)
    if position is POISON:
        return POISON
    if not -len(items) <= position < len(items):
        lw.report(errors.index_outside(item.span, position, len(items)))
        return POISON
    return items[position]


def _bound(lw: Lowerer, expr: t.Expr | None, scope: Scope) -> Any:
    """An integer known while compiling; None stays None, anything else is complained about."""
    if expr is None:
        return None
    value = lw.evaluate(expr, scope)
    if value is not POISON and (not isinstance(value, int) or isinstance(value, bool)):
        lw.report(errors.index_not_integer(expr.span, value))
        return POISON
    return value


def _index_tensor(lw: Lowerer, expr: t.Index, arg: Arg, scope: Scope) -> Any:
    shape = arg.value.type.shape
    if len(expr.items) > len(shape):
        lw.report(errors.too_many_indices(expr, len(shape)))
        return POISON
    axes: list[Axis] = []
    kept: list[bool] = []
    for item, size in zip(expr.items, shape, strict=False):
        axis = _axis(lw, item, size, scope)
        if axis is None:
            return POISON
        axes.append(axis)
        kept.append(isinstance(item, t.Slice))
    axes += [_whole(size) for size in shape[len(axes) :]]
    kept += [True] * (len(shape) - len(kept))
    return _take(lw, arg, axes, kept, expr.span)


def _take(lw: Lowerer, arg: Arg, axes: list[Axis], kept: list[bool], span: Span) -> Any:
    starts, stops, steps = zip(*axes, strict=True)
    part = lw.emit("slice", [arg], span, starts=starts, stops=stops, steps=steps)
    if part is POISON or all(kept):
        return part
    shape = tuple(d for d, keep in zip(part.type.shape, kept, strict=True) if keep)
    return lw.emit("reshape", [Arg(part, span)], span, shape=shape)


def _axis(lw: Lowerer, item: t.Expr | t.Slice, size: Dim, scope: Scope) -> Axis | None:
    if not isinstance(item, t.Slice):
        return _single(lw, item, size, scope)
    start, stop, step = (_bound(lw, b, scope) for b in (item.start, item.stop, item.step))
    if POISON in (start, stop, step):
        return None
    return slice_bounds(lw, item.span, size, start, stop, step)


def slice_bounds(
    lw: Lowerer, span: Span, size: Dim, start: int | None, stop: int | None, step: int | None
) -> Axis | None:
    """The slice of a dimension as a range of its elements; None where it was complained about."""
    if start is stop is None and step in (None, 1):
        return _whole(size)
    if not isinstance(size, int):
        lw.report(errors.slice_of_unknown(span, size))
        return None
    if step == 0:
        lw.report(errors.zero_step(span))
        return None
    first, last, stride = slice(start, stop, step).indices(size)
    if len(range(first, last, stride)) == 0:
        lw.report(errors.empty_slice(span, size))
        return None
    return first, last, stride


def _single(lw: Lowerer, item: t.Expr, size: Dim, scope: Scope) -> Axis | None:
    position = _bound(lw, item, scope)
    if position is POISON:
        return None
    if not isinstance(size, int):
        lw.report(errors.slice_of_unknown(item.span, size))
        return None
    if not -size <= position < size:
        lw.report(errors.index_outside(item.span, position, size))
        return None
    position %= size
    return position, position + 1, 1


def _whole(size: Dim) -> Axis:
    return (0, size if isinstance(size, int) else None, 1)
