"""Functions that choose elements by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.values import POISON, Arg, is_dtype
from flowc.source import Span
from flowc_runtime.dims import Dim

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
    if dims is None or len(dims) != 1 or not is_dtype(dtype.value):
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
    builtin("iota", "0, 1, 2, ... as a vector", _iota, "count", ("dtype", "i32")),
)
