"""Functions that take a tensor together over some of its axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.builtins.elementwise import extremum
from flowc.lower.builtins.shapes import sliced
from flowc.lower.values import POISON, Arg, Builtin
from flowc.source import Span

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

OVER = '`over` is "all", "..." (all but the last), an axis, a list of axes or a dimension\'s name'


def _reduce(op: str) -> Any:
    def run(lw: Lowerer, span: Span, x: Arg, over: Arg, keep: Arg) -> Any:
        if not ask.tensor(lw, op.removeprefix("reduce_"), x):
            return POISON
        axes = ask.axes(lw, over, x.value)
        kept = ask.truth(lw, "keep", keep)
        if axes is None or kept is None:
            return POISON
        if not axes:
            return x.value
        return lw.emit(op, [x], span, axes=axes, keep=kept)

    return run


def _reduction(name: str, doc: str) -> Builtin:
    return builtin(name, f"{doc}; {OVER}", _reduce(f"reduce_{name}"),
                   "x", ("over", "all"), ("keep", False))


def _max_or_min(name: str, pairwise: str, doc: str) -> Builtin:
    reduce = _reduce(f"reduce_{name}")

    def run(lw: Lowerer, span: Span, x: Arg, y: Arg, over: Arg, keep: Arg, *more: Arg) -> Any:
        if y.value is None:
            return reduce(lw, span, x, over, keep)
        for given, default in ((over, "all"), (keep, False)):
            if given.value is not default:
                lw.report(errors.reduces_or_compares(name, given))
                return POISON
        return extremum(lw, span, pairwise, (x, y))

    return builtin(name, f"{doc} of two, element by element; of one tensor, over axes: {OVER}",
                   run, "x", ("y", None), ("over", "all"), ("keep", False))


def _arg(op: str) -> Any:
    def run(lw: Lowerer, span: Span, x: Arg, axis: Arg) -> Any:
        if not ask.tensor(lw, op, x):
            return POISON
        found = ask.axis(lw, axis, x.value)
        return POISON if found is None else lw.emit(op, [x], span, axis=found)

    return run


def _cumsum(
    lw: Lowerer, span: Span, x: Arg, axis: Arg, reverse: Arg, exclusive: Arg
) -> Any:
    if not ask.tensor(lw, "cumsum", x):
        return POISON
    found = ask.axis(lw, axis, x.value)
    backwards, shifted = ask.truth(lw, "reverse", reverse), ask.truth(lw, "exclusive", exclusive)
    if found is None or backwards is None or shifted is None:
        return POISON
    if shifted:
        x = Arg(_shifted(lw, span, x, found, backwards), span)
    return lw.emit("cumsum", [x], span, axis=found, reverse=backwards)


def _shifted(lw: Lowerer, span: Span, x: Arg, axis: int, backwards: bool) -> Any:
    """x moved by one along the axis, with a zero first (or last, if the sum goes backwards)."""
    size = x.value.type.shape[axis]
    if not isinstance(size, int):
        lw.report(errors.slice_of_unknown(span, size))
        return POISON
    kept = (1, size, 1) if backwards else (0, size - 1, 1)
    part = Arg(sliced(lw, span, x, {axis: kept}), span)
    first = tuple(int(i == axis) for i in range(x.value.type.rank))
    none = (0,) * len(first)
    before, after = (none, first) if backwards else (first, none)
    return lw.emit("pad", [part], span, before=before, after=after, value=0.0)


def _argsort(lw: Lowerer, span: Span, x: Arg, axis: Arg, descending: Arg) -> Any:
    if not ask.tensor(lw, "argsort", x):
        return POISON
    found, falling = ask.axis(lw, axis, x.value), ask.truth(lw, "descending", descending)
    if found is None or falling is None:
        return POISON
    return lw.emit("argsort", [x], span, axis=found, descending=falling)


def _count(lw: Lowerer, span: Span, x: Arg, over: Arg) -> Any:
    if not ask.tensor(lw, "count", x):
        return POISON
    axes = ask.axes(lw, over, x.value)
    if axes is None:
        return POISON
    total: Any = 1
    for axis in axes:
        total = total * x.value.type.shape[axis]
    return total


FUNCTIONS = (
    _reduction("sum", "the sum"),
    _reduction("prod", "the product"),
    _reduction("any", "whether any element is true"),
    _reduction("all", "whether every element is true"),
    _max_or_min("max", "maximum", "the larger"),
    _max_or_min("min", "minimum", "the smaller"),
    builtin("argmax", "the position of the first largest element along an axis, i32",
            _arg("argmax"), "x", ("axis", -1)),
    builtin("argmin", "the position of the first smallest element along an axis, i32",
            _arg("argmin"), "x", ("axis", -1)),
    builtin("argsort", "the positions along an axis in rising (or falling) order, i32; equal "
            "elements stay in theirs", _argsort, "x", ("axis", -1), ("descending", False)),
    builtin("cumsum", "running sums along an axis, each without its own element if `exclusive`",
            _cumsum, "x", ("axis", -1), ("reverse", False), ("exclusive", False)),
    builtin("count", f"how many elements a reduction takes together; {OVER}", _count,
            "x", ("over", "all")),
)
