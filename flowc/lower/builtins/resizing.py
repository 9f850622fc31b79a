"""`resize`: the language's words for sizes, methods and coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.builtins.windows import image
from flowc.lower.values import POISON, Arg
from flowc.source import Span
from flowc_runtime.ops.resize import METHODS

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

# The language's word, and the op's: nearest takes the element before, as frameworks do.
_METHODS = {"nearest": "floor", **{m: m for m in METHODS}}
COORDINATES = ("half_pixel", "align_corners", "asymmetric")


def _resize(
    lw: Lowerer, span: Span, x: Arg, size: Arg, method: Arg, coordinates: Arg
) -> Any:
    count = image(lw, "resize", x)
    if count is None:
        return POISON
    sizes = ask.counts(lw, "size", size, count)
    if sizes is None:
        return POISON
    if method.value not in _METHODS:
        lw.report(errors.wants("method", _either(tuple(_METHODS)), method))
        return POISON
    nearest = method.value == "nearest"
    where = "asymmetric" if coordinates.value is None and nearest else coordinates.value
    where = "half_pixel" if where is None else where
    if where not in COORDINATES:
        lw.report(errors.wants("coordinates", _either(COORDINATES), coordinates))
        return POISON
    old = x.value.type.shape[1:-1]
    if not all(isinstance(n, int) for n in old):
        lw.report(errors.wants("resize", "a tensor of known sizes", x))
        return POISON
    ratio = tuple(_ratio(int(a), b, where) for a, b in zip(old, sizes, strict=True))
    shift = 0.5 if where == "half_pixel" else 0.0
    return lw.emit("resize", [x], span, sizes=sizes, ratio=ratio, shift=shift,
                   method=_METHODS[method.value])


def _ratio(old: int, new: int, coordinates: str) -> tuple[int, int]:
    """Old elements for new ones."""
    if coordinates != "align_corners":
        return old, new
    return (old - 1, new - 1) if new > 1 else (0, 1)


def _either(words: tuple[str, ...]) -> str:
    *first, last = (f'"{word}"' for word in words)
    return f"{', '.join(first)} or {last}"


RESIZE = builtin(
    "resize",
    "`x` [batch, axes, channels] with another `size`, a number or one for each axis. `method` is "
    '"nearest", "linear" between the neighbours along each axis, or another way to round: '
    '"floor", "ceil", "round" (halves down), "round_up". `coordinates` says where an element of '
    'the result looks: "half_pixel" (centres onto centres, the default), "align_corners" (first '
    'and last onto first and last) or "asymmetric" (beginnings onto beginnings, the default of '
    '"nearest")',
    _resize, "x", "size", ("method", "nearest"), ("coordinates", None),
)
