"""Windows along the axes of an image: their sizes and padding, as the language writes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.values import Arg
from flowc_runtime.ops.window import NAMES

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

Sides = tuple[int, int]  # before, after
PADDING_DOC = (
    '`padding` is "valid", "same", a number, or for each axis a number or [before, after]'
)


class Windows(NamedTuple):
    """One entry for each axis; `extents` are the elements from a window's first to its last."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    extents: tuple[int, ...]


def image(lw: Lowerer, function: str, x: Arg) -> int | None:
    """The number of axes between batch and channels, one to three."""
    if not ask.tensor(lw, function, x):
        return None
    count = int(x.value.type.rank) - 2
    if count in NAMES:
        return count
    lw.report(errors.no_image(function, x))
    return None


def windows(
    lw: Lowerer, size: tuple[int, ...] | None, stride: Arg, dilation: Arg
) -> Windows | None:
    """Windows of that size; without a stride one beside the other."""
    if size is None:
        return None
    steps = size if stride.value is None else ask.counts(lw, "stride", stride, len(size))
    gaps = ask.counts(lw, "dilation", dilation, len(size))
    if steps is None or gaps is None:
        return None
    extents = tuple((n - 1) * gap + 1 for n, gap in zip(size, gaps, strict=True))
    return Windows(steps, gaps, extents)


def padding(
    lw: Lowerer, arg: Arg, sizes: Sequence[Any], given: Windows
) -> tuple[Sides, ...] | None:
    """The padding in numbers. "same" gives ceil(size / stride) outputs, the odd one at the end."""
    count = len(given.extents)
    if arg.value == "valid":
        return ((0, 0),) * count
    if arg.value == "same":
        if not all(isinstance(size, int) for size in sizes):
            lw.report(errors.wants("padding", 'a number, for "same" needs known sizes', arg))
            return None
        return tuple(map(_same, sizes, given.extents, given.stride))
    sides = _explicit(arg.value, count)
    if sides is None:
        lw.report(errors.wants("padding", PADDING_DOC.removeprefix("`padding` is "), arg))
    return sides


def _same(size: int, extent: int, stride: int) -> Sides:
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + extent - size)
    return total // 2, total - total // 2


def _explicit(value: Any, count: int) -> tuple[Sides, ...] | None:
    if _is_count(value):
        return ((value, value),) * count
    if not (isinstance(value, list) and len(value) == count):
        return None
    sides = [[side, side] if _is_count(side) else side for side in value]
    if not all(isinstance(s, list) and len(s) == 2 and all(map(_is_count, s)) for s in sides):
        return None
    return tuple((before, after) for before, after in sides)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def rounded_up(
    sides: Sequence[Sides], sizes: Sequence[Any], given: Windows
) -> tuple[Sides, ...]:
    """Padding with as much at the end as a last, partial window needs.

    A window that would start behind the image does not count.
    """
    return tuple(map(_round_up, sides, sizes, given.extents, given.stride))


def _round_up(sides: Sides, size: int, extent: int, stride: int) -> Sides:
    before, after = sides
    room = before + size + after - extent
    steps = -(-room // stride)
    if steps * stride >= before + size:
        steps -= 1
    return before, max(after, steps * stride + extent - before - size)
