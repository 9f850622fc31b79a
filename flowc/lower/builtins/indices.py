"""Functions that choose elements by index."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.values import POISON, Arg, is_dtype
from flowc.source import Span

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


FUNCTIONS = (
    builtin("lookup", "rows of a table by index", _two("gather", "lookup"),
            "table", "index"),
    builtin("pick", "one element of the last axis by index", _two("take_along", "pick"),
            "x", "index"),
    builtin("iota", "0, 1, 2, ... as a vector", _iota, "count", ("dtype", "i32")),
)
