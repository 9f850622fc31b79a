"""Functions that choose elements by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.arithmetic import as_tensors, elementwise, reshaped
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.builtins.shapes import sliced
from flowc.lower.limits import fits
from flowc.lower.values import POISON, Arg, is_dtype
from flowc.source import Span
from flowc_runtime.dims import Dim, product
from flowc_runtime.types import TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer


def _two(op: str, name: str) -> Any:
    def run(lw: Lowerer, span: Span, x: Arg, index: Arg) -> Any:
        if not (ask.tensor(lw, name, x) and ask.tensor(lw, name, index)):
            return POISON
        return lw.emit(op, [x, index], span)

    return run


def _iota(lw: Lowerer, span: Span, count: Arg, dtype: Arg) -> Any:
    dims = ask.shape(lw, "iota", count)
    if dims is None:
        return POISON
    if len(dims) != 1 or not is_dtype(dtype.value):
        lw.report(errors.wants("iota", "one dimension", count))
        return POISON
    return lw.emit("iota", [], span, shape=dims, axis=0, dtype=dtype.value)


def _scatter_add(lw: Lowerer, span: Span, index: Arg, updates: Arg, rows: Arg) -> Any:
    if not (ask.tensor(lw, "scatter_add", index) and ask.tensor(lw, "scatter_add", updates)):
        return POISON
    count = _size(lw, "scatter_add", rows)
    return POISON if count is None else lw.emit("scatter_add", [index, updates], span, rows=count)


def _lookup_along(lw: Lowerer, span: Span, x: Arg, index: Arg, axis: Arg) -> Any:
    if not (ask.tensor(lw, "lookup_along", x) and ask.tensor(lw, "lookup_along", index)):
        return POISON
    at = ask.axis(lw, axis, x.value)
    return POISON if at is None else lw.emit("gather_along", [x, index], span, axis=at)


def _scatter_add_along(
    lw: Lowerer, span: Span, index: Arg, updates: Arg, size: Arg, axis: Arg
) -> Any:
    name = "scatter_add_along"
    if not (ask.tensor(lw, name, index) and ask.tensor(lw, name, updates)):
        return POISON
    at, count = ask.axis(lw, axis, index.value), _size(lw, name, size)
    if at is None or count is None:
        return POISON
    return lw.emit("scatter_add_along", [index, updates], span, axis=at, size=count)


def _lookup_nd(lw: Lowerer, span: Span, table: Arg, index: Arg) -> Any:
    """The axes that an index covers as one, and a lookup in that."""
    if not (ask.tensor(lw, "lookup_nd", table) and _is_nd(lw, "lookup_nd", index)):
        return POISON
    shape, count = table.value.type.shape, index.value.type.shape[-1]
    if count > len(shape):
        lw.report(errors.index_too_long(index, table, count))
        return POISON
    flat = _flat_index(lw, span, index, shape[:count])
    rows = lw.emit("reshape", [table], span, shape=(product(shape[:count]), *shape[count:]))
    return lw.emit("gather", [Arg(rows, span), flat], span)


def _scatter_add_nd(lw: Lowerer, span: Span, index: Arg, updates: Arg, shape: Arg) -> Any:
    """The gradient of `lookup_nd`: the first axes of the shape are as one, then come apart."""
    if not (ask.tensor(lw, "scatter_add_nd", updates) and _is_nd(lw, "scatter_add_nd", index)):
        return POISON
    dims, count = ask.shape(lw, "scatter_add_nd", shape), index.value.type.shape[-1]
    if dims is None or not _is_sized(lw, TensorType(updates.value.type.dtype, dims), shape):
        return POISON
    if count > len(dims):
        lw.report(errors.index_too_long(index, shape, count))
        return POISON
    wanted = (*index.value.type.shape[:-1], *dims[count:])
    if updates.value.type.shape != wanted:
        shown = f"updates [{', '.join(map(str, wanted))}]"
        lw.report(errors.wants("scatter_add_nd", shown, updates))
        return POISON
    flat = _flat_index(lw, span, index, dims[:count])
    rows = lw.emit("scatter_add", [flat, updates], span, rows=product(dims[:count]))
    return lw.emit("reshape", [Arg(rows, span)], span, shape=dims)


def _is_sized(lw: Lowerer, type: TensorType, shape: Arg) -> bool:
    """Whether a tensor that is about to be made has a size that can be computed with."""
    least = min((dim for dim in type.shape if isinstance(dim, int)), default=1)
    if least < 1:
        lw.report(errors.bad_size(shape.span, least))
    elif not fits(type):
        lw.report(errors.tensor_too_large(shape.span, type))
    else:
        return True
    return False


def _is_nd(lw: Lowerer, function: str, index: Arg) -> bool:
    if not ask.tensor(lw, function, index):
        return False
    type = index.value.type
    if type.rank and type.kind == "int" and isinstance(type.shape[-1], int) and type.shape[-1] > 0:
        return True
    wanted = "integers [..., n], an index of n axes each, of one at least"
    lw.report(errors.wants(function, wanted, index))
    return False


def _flat_index(lw: Lowerer, span: Span, index: Arg, dims: tuple[Dim, ...]) -> Arg:
    """Where each index [..., n] lies in row-major order; behind all of it, if it is outside."""
    def tensor(op: str, *operands: Any) -> Any:
        return elementwise(lw, op, [Arg(value, span) for value in operands], span)

    size, total = product(dims), 0
    wide = Arg(lw.emit("cast", [index], span, dtype="i64"), span)
    for axis, dim in enumerate(dims):
        part = sliced(lw, span, wide, {index.value.type.rank - 1: (axis, axis + 1, 1)})
        inside = tensor("logical_and", tensor("greater_equal", part, 0), tensor("less", part, dim))
        offset = tensor("mul", part, product(dims[axis + 1 :]))
        where = as_tensors(lw, [Arg(offset, span), Arg(size, span)], span)
        if where is None:
            return Arg(POISON, span)
        total = tensor("add", lw.emit("where", [Arg(inside, span), *where], span), total)
    return reshaped(lw, Arg(total, span), index.value.type.shape[:-1])


def _size(lw: Lowerer, function: str, arg: Arg) -> Dim | None:
    dims = ask.shape(lw, function, arg)
    if dims is not None and len(dims) == 1 and not (isinstance(dims[0], int) and dims[0] < 1):
        return dims[0]
    if dims is not None:
        lw.report(errors.wants(function, "one dimension", arg))
    return None


FUNCTIONS = (
    builtin("lookup", "rows of a table by index", _two("gather", "lookup"),
            "table", "index"),
    builtin("pick", "one element of the last axis by index", _two("take_along", "pick"),
            "x", "index"),
    builtin("lookup_along", "elements along an axis by index, which is shaped like x but for "
            "that axis", _lookup_along, "x", "index", ("axis", -1)),
    builtin("scatter_add", "a table of zeros to whose rows `updates` are added by index",
            _scatter_add, "index", "updates", "rows"),
    builtin("scatter_add_along", "zeros with `size` elements along an axis, to which `updates` are "
            "added by index", _scatter_add_along, "index", "updates", "size", ("axis", -1)),
    builtin("lookup_nd", "parts of a table by indices [..., n] of its first n axes", _lookup_nd,
            "table", "index"),
    builtin("scatter_add_nd", "zeros of a shape, to which `updates` are added by indices [..., n] "
            "of the first n axes", _scatter_add_nd, "index", "updates", "shape"),
    builtin("iota", "0, 1, 2, ... as a vector", _iota, "count", ("dtype", "i32")),
)
