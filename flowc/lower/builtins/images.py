"""Convolution, pooling and resizing of sequences, images and volumes [batch, axes, channels]."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.builtins.resizing import RESIZE
from flowc.lower.builtins.windows import PADDING_DOC, Windows, image, padding, rounded_up, windows
from flowc.lower.values import POISON, Arg
from flowc.source import Span
from flowc_runtime.ops.window import NAMES

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer


def _convolve(
    lw: Lowerer, span: Span, x: Arg, kernel: Arg, stride: Arg, pad: Arg, dilation: Arg,
    groups: Arg,
) -> Any:
    given = _kernel_windows(lw, "convolve", "in, out", x, kernel, stride, dilation)
    count = ask.integer(lw, "groups", groups)
    if given is None or count is None:
        return POISON
    pads = padding(lw, pad, x.value.type.shape[1:-1], given)
    if pads is None:
        return POISON
    return lw.emit("conv", [x, kernel], span, stride=given.stride, padding=pads,
                   dilation=given.dilation, groups=count)


def _convolve_transpose(
    lw: Lowerer, span: Span, x: Arg, kernel: Arg, stride: Arg, pad: Arg, dilation: Arg,
    groups: Arg, output_padding: Arg,
) -> Any:
    """`x` is spread out as the gradient of a convolution is whose result looks like `x`."""
    function = "convolve_transpose"
    given = _kernel_windows(lw, function, "out, in", x, kernel, stride, dilation)
    count = ask.integer(lw, "groups", groups)
    if given is None or count is None:
        return POISON
    extra = ask.counts(lw, "output_padding", output_padding, len(given.stride), least=0)
    if extra is None:
        return POISON
    if any(more >= step for more, step in zip(extra, given.stride, strict=True)):
        lw.report(errors.wants("output_padding", "less than the stride", output_padding))
        return POISON
    if pad.value == "same" and any(extra):
        lw.report(errors.wants("output_padding", '0 with a padding of "same"', output_padding))
        return POISON
    sizes, channels = x.value.type.shape[1:-1], x.value.type.shape[-1]
    if kernel.value.type.shape[-1] != channels:
        lw.report(errors.wants(function, f"a kernel for the {channels} channels of `x`", kernel))
        return POISON
    grown = [size * step for size, step in zip(sizes, given.stride, strict=True)]
    pads = padding(lw, pad, grown, given)
    if pads is None:
        return POISON
    spread = [
        (size - 1) * step + extent - before - after + more
        for size, step, extent, (before, after), more in zip(
            sizes, given.stride, given.extents, pads, extra, strict=True)
    ]
    shape = (x.value.type.shape[0], *(grown if pad.value == "same" else spread),
             kernel.value.type.shape[-2] * count)
    return lw.emit("conv_input_grad", [x, kernel], span, stride=given.stride, padding=pads,
                   dilation=given.dilation, groups=count, shape=shape)


def _kernel_windows(
    lw: Lowerer, function: str, ends: str, x: Arg, kernel: Arg, stride: Arg, dilation: Arg
) -> Windows | None:
    count = image(lw, function, x)
    if count is None or not ask.tensor(lw, function, kernel):
        return None
    sizes = kernel.value.type.shape[:-2]
    if len(sizes) != count or not all(isinstance(size, int) for size in sizes):
        lw.report(errors.no_kernel(function, ", ".join((*NAMES[count], ends)), kernel))
        return None
    return windows(lw, tuple(map(int, sizes)), stride, dilation)


def _max_pool(
    lw: Lowerer, span: Span, x: Arg, size: Arg, stride: Arg, pad: Arg, dilation: Arg, ceil: Arg
) -> Any:
    found = _pooling(lw, "max_pool", x, size, stride, pad, dilation, ceil)
    return POISON if found is None else lw.emit("max_pool", [x], span, **found[0])


def _avg_pool(
    lw: Lowerer, span: Span, x: Arg, size: Arg, stride: Arg, pad: Arg, dilation: Arg, ceil: Arg,
    count_padding: Arg,
) -> Any:
    found = _pooling(lw, "avg_pool", x, size, stride, pad, dilation, ceil)
    counts = ask.truth(lw, "count_padding", count_padding)
    if found is None or counts is None:
        return POISON
    settings, asked = found
    counted = asked if counts else ((0, 0),) * len(asked)
    return lw.emit("avg_pool", [x], span, counted=counted, **settings)


def _pooling(
    lw: Lowerer, function: str, x: Arg, size: Arg, stride: Arg, pad: Arg, dilation: Arg, ceil: Arg
) -> tuple[dict[str, Any], Any] | None:
    """The settings of a pooling op, and the padding that was asked for."""
    count = image(lw, function, x)
    if count is None:
        return None
    window = ask.counts(lw, "size", size, count)
    given = windows(lw, window, stride, dilation)
    up = ask.truth(lw, "ceil", ceil)
    if given is None or up is None:
        return None
    sizes = x.value.type.shape[1:-1]
    asked = padding(lw, pad, sizes, given)
    if asked is None:
        return None
    known = all(isinstance(n, int) for n in sizes)
    pads = rounded_up(asked, sizes, given) if up and known else asked
    return {"window": window, "stride": given.stride, "padding": pads,
            "dilation": given.dilation}, asked


_POOL = (("size", 2), ("stride", None), ("padding", "valid"), ("dilation", 1), ("ceil", False))
_CEIL_DOC = "With `ceil`, a last window may reach over the end"

FUNCTIONS = (
    builtin("convolve", "the convolution of `x` [batch, axes, in] with a kernel [axes, in / "
            f"groups, out], along one to three axes; {PADDING_DOC}", _convolve,
            "x", "kernel", ("stride", 1), ("padding", "valid"), ("dilation", 1), ("groups", 1)),
    builtin("convolve_transpose", "the transposed convolution of `x` [batch, axes, in] with a "
            "kernel [axes, out / groups, in]: what the gradient of a convolution does, "
            f"`(size - 1) * stride + window - padding + output_padding` long; {PADDING_DOC}; "
            '"same" makes it `size * stride` long',
            _convolve_transpose, "x", "kernel", ("stride", 1), ("padding", "valid"),
            ("dilation", 1), ("groups", 1), ("output_padding", 0)),
    builtin("max_pool", f"the largest of each window; {PADDING_DOC}. {_CEIL_DOC}", _max_pool,
            "x", *_POOL),
    builtin("avg_pool", "the mean of each window, padding not counted unless `count_padding`; "
            f"{PADDING_DOC}. {_CEIL_DOC}, which never counts", _avg_pool,
            "x", *_POOL, ("count_padding", False)),
    RESIZE,
)
