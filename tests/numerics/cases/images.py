"""Images [batch, height, width, channels]: convolution and pooling."""

from __future__ import annotations

from typing import Any

from numerics.case import Case, real

IMAGE = real("f32[2, 8, 7, 4]")


def _nchw(x: Any) -> Any:
    return x.permute(0, 3, 1, 2)


def _nhwc(x: Any) -> Any:
    return x.permute(0, 2, 3, 1)


def convolution(t: Any, x: Any, kernel: Any, **settings: Any) -> Any:
    """A convolution of channels-last images with a kernel [h, w, in, out]."""
    return _nhwc(t.nn.functional.conv2d(_nchw(x), kernel.permute(3, 2, 0, 1), **settings))


CASES = (
    Case("convolve", "convolve(x, k, stride = [2, 1], padding = [[2, 1], [0, 3]])",
         {"x": IMAGE, "k": real("f32[3, 2, 4, 5]")},
         lambda t, x, k: convolution(t, t.nn.functional.pad(x, (0, 0, 0, 3, 2, 1)), k,
                                     stride=(2, 1))),
    Case("convolve in groups, dilated",
         'convolve(x, k, padding = "same", dilation = 2, groups = 2)',
         {"x": IMAGE, "k": real("f32[3, 3, 2, 6]")},
         lambda t, x, k: convolution(t, x, k, padding=2, dilation=2, groups=2)),
    Case("conv2d", "conv2d(x, 3)", {"x": IMAGE}, lambda t, x, y_kernel, y_bias: (
        convolution(t, x, y_kernel, padding=1) + y_bias)),
    Case("max_pool", "max_pool(x, 3, stride = 2)", {"x": IMAGE},
         lambda t, x: _nhwc(t.nn.functional.max_pool2d(_nchw(x), 3, 2))),
    Case("avg_pool", "avg_pool(x, [2, 3], stride = 1, padding = [[1, 0], [1, 1]])", {"x": IMAGE},
         lambda t, x: _nhwc(t.nn.functional.avg_pool2d(
             _nchw(x), (2, 3), 1, (1, 1), count_include_pad=False))[:, :-1]),
    Case("global_avg_pool", "global_avg_pool(x)", {"x": IMAGE}, lambda t, x: x.mean((1, 2))),
)
