"""`pad`: more elements around a tensor, of one value or of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.builtins.shapes import sliced
from flowc.lower.values import POISON, Arg
from flowc.source import Span

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

MODES = ("constant", "edge", "reflect", "wrap")


def _pad(
    lw: Lowerer, span: Span, x: Arg, before: Arg, after: Arg, value: Arg, mode: Arg
) -> Any:
    if not ask.tensor(lw, "pad", x):
        return POISON
    first = _sides(lw, x, before)
    last = None if first is None else _sides(lw, x, after)
    if first is None or last is None:
        return POISON
    if not isinstance(value.value, (int, float)):
        lw.report(errors.wants("pad", "a number", value))
        return POISON
    if mode.value not in MODES:
        lw.report(errors.wants("pad", f"one of {', '.join(MODES)} as its mode", mode))
        return POISON
    if mode.value == "constant":
        return lw.emit("pad", [x], span, before=first, after=last, value=float(value.value))
    for axis, sides in enumerate(zip(first, last, strict=True)):
        if any(sides):
            x = Arg(_pad_axis(lw, span, x, axis, sides, mode.value), span)
            if x.value is POISON:
                break
    return x.value


def _sides(lw: Lowerer, x: Arg, side: Arg) -> tuple[int, ...] | None:
    """How much goes on one side of each axis."""
    rank = x.value.type.rank
    items = side.value if isinstance(side.value, (list, tuple)) else ()
    if len(items) == rank and all(isinstance(i, int) and i >= 0 for i in items):
        return tuple(items)
    wanted = f"a list with a size from 0 for each of the {rank} axes"
    lw.report(errors.wants("pad", wanted, side))
    return None


def _pad_axis(
    lw: Lowerer, span: Span, x: Arg, axis: int, sides: tuple[int, int], mode: str
) -> Any:
    """x between what it has itself at its ends, along one axis."""
    size = x.value.type.shape[axis]
    if not isinstance(size, int):
        lw.report(errors.slice_of_unknown(x.span, size))
        return POISON
    most = {"edge": None, "reflect": size - 1, "wrap": size}[mode]
    if most is not None and max(sides) > most:
        lw.report(errors.pads_too_much(x, axis, size, mode, most))
        return POISON
    before, after = sides
    pieces = [x]
    if before:
        pieces.insert(0, Arg(_piece(lw, span, x, axis, before, _start(mode, before, size)), span))
    if after:
        pieces.append(Arg(_piece(lw, span, x, axis, after, _end(mode, after, size)), span))
    return lw.emit("concat", pieces, span, axis=axis)


def _start(mode: str, count: int, size: int) -> tuple[int, int, int]:
    """The range of elements that go before the first one."""
    return {"edge": (0, 1, 1), "reflect": (count, 0, -1), "wrap": (size - count, size, 1)}[mode]


def _end(mode: str, count: int, size: int) -> tuple[int, int, int]:
    """The range of elements that go behind the last one."""
    last = size - 1
    return {"edge": (last, size, 1), "reflect": (last - 1, last - 1 - count, -1),
            "wrap": (0, count, 1)}[mode]  # fmt: skip


def _piece(
    lw: Lowerer, span: Span, x: Arg, axis: int, count: int, bounds: tuple[int, int, int]
) -> Any:
    part = sliced(lw, span, x, {axis: bounds})
    shape = (*x.value.type.shape[:axis], count, *x.value.type.shape[axis + 1 :])
    if part is POISON or part.type.shape == shape:
        return part
    return lw.emit("broadcast", [Arg(part, span)], span, shape=shape)


FUNCTIONS = (
    builtin("pad", "x with more elements around it, sizes for each axis; `mode` is \"constant\" "
            "(all of them `value`), \"edge\" (the outermost element again), \"reflect\" (back from "
            "the end, which is not repeated) or \"wrap\" (on from the other end)",
            _pad, "x", "before", "after", ("value", 0.0), ("mode", "constant")),
)
