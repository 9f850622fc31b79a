"""Convolution and pooling over images [batch, height, width, channels]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.values import POISON, Arg
from flowc.source import Span

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

Padding = tuple[tuple[int, int], tuple[int, int]]
PADDING_DOC = '`padding` is "valid", "same", a number, or [[top, bottom], [left, right]]'


def padding_of(
    lw: Lowerer, arg: Arg, x: Arg, window: tuple[int, int], stride: tuple[int, int]
) -> Padding | None:
    """The padding in numbers. "same" gives ceil(size / stride) outputs, the odd one at the end."""
    value = arg.value
    if value == "valid":
        return (0, 0), (0, 0)
    if value == "same":
        sizes = x.value.type.shape[1:3]
        if not all(isinstance(s, int) for s in sizes):
            lw.report(errors.wants("padding", 'a number, for "same" needs known sizes', arg))
            return None
        sides = [_same(int(s), w, d) for s, w, d in zip(sizes, window, stride, strict=True)]
        return sides[0], sides[1]
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return (value, value), (value, value)
    sides_given = _explicit(value)
    if sides_given is None:
        lw.report(errors.wants("padding", PADDING_DOC.removeprefix("`padding` is "), arg))
    return sides_given


def _same(size: int, window: int, stride: int) -> tuple[int, int]:
    outputs = -(-size // stride)
    total = max(0, (outputs - 1) * stride + window - size)
    return total // 2, total - total // 2


def _explicit(value: Any) -> Padding | None:
    if not (isinstance(value, list) and len(value) == 2):
        return None
    for side in value:
        if not (isinstance(side, list) and len(side) == 2
                and all(isinstance(n, int) and n >= 0 for n in side)):
            return None
    (top, bottom), (left, right) = value
    return (top, bottom), (left, right)


def _image(lw: Lowerer, function: str, x: Arg) -> bool:
    if not ask.tensor(lw, function, x):
        return False
    if x.value.type.rank != 4:
        lw.report(errors.no_image(function, x))
        return False
    return True


def _convolve(
    lw: Lowerer, span: Span, x: Arg, kernel: Arg, stride: Arg, padding: Arg, dilation: Arg,
    groups: Arg,
) -> Any:
    if not _image(lw, "convolve", x) or not ask.tensor(lw, "convolve", kernel):
        return POISON
    strides, dilations = ask.pair(lw, "stride", stride), ask.pair(lw, "dilation", dilation)
    count = ask.integer(lw, "groups", groups)
    sizes = kernel.value.type.shape[:2]
    if strides is None or dilations is None or count is None:
        return POISON
    if not all(isinstance(s, int) for s in sizes) or len(sizes) < 2:
        lw.report(errors.wants("convolve", "a kernel [height, width, in, out]", kernel))
        return POISON
    window = tuple((int(s) - 1) * d + 1 for s, d in zip(sizes, dilations, strict=True))
    pads = padding_of(lw, padding, x, (window[0], window[1]), strides)
    if pads is None:
        return POISON
    return lw.emit("conv2d", [x, kernel], span, stride=strides, padding=pads,
                   dilation=dilations, groups=count)


def _pool(op: str) -> Any:
    def run(lw: Lowerer, span: Span, x: Arg, size: Arg, stride: Arg, padding: Arg) -> Any:
        if not _image(lw, op, x):
            return POISON
        window = ask.pair(lw, "size", size)
        strides = window if stride.value is None else ask.pair(lw, "stride", stride)
        if window is None or strides is None:
            return POISON
        pads = padding_of(lw, padding, x, window, strides)
        if pads is None:
            return POISON
        extra = {"count_padding": False} if op == "avg_pool" else {}
        return lw.emit(op, [x], span, window=window, stride=strides, padding=pads, **extra)

    return run


FUNCTIONS = (
    builtin("convolve", f"the convolution of images with a kernel [h, w, in, out]; {PADDING_DOC}",
            _convolve, "x", "kernel", ("stride", 1), ("padding", "valid"), ("dilation", 1),
            ("groups", 1)),
    builtin("max_pool", f"the largest of each window; {PADDING_DOC}", _pool("max_pool"),
            "x", ("size", 2), ("stride", None), ("padding", "valid")),
    builtin("avg_pool", f"the mean of each window, padding not counted; {PADDING_DOC}",
            _pool("avg_pool"), "x", ("size", 2), ("stride", None), ("padding", "valid")),
)
