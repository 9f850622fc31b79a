"""Sequences, images and volumes, channels last: convolution, pooling, resizing."""

from __future__ import annotations

from typing import Any

from numerics.case import Case, one_of, real

IMAGE = real("f32[2, 8, 7, 4]")


def _nchw(x: Any) -> Any:
    return x.permute(0, 3, 1, 2)


def _nhwc(x: Any) -> Any:
    return x.permute(0, 2, 3, 1)


def convolution(t: Any, x: Any, kernel: Any, **settings: Any) -> Any:
    """A convolution of channels-last images with a kernel [h, w, in, out]."""
    return _nhwc(t.nn.functional.conv2d(_nchw(x), kernel.permute(3, 2, 0, 1), **settings))


SEQUENCE, VOLUME = real("f32[2, 9, 4]"), real("f32[2, 4, 5, 6, 2]")
CONVOLUTIONS = {1: "conv1d", 2: "conv2d", 3: "conv3d"}


def first(x: Any) -> Any:
    """Channels first, as torch has them."""
    return x.movedim(-1, 1)


def last(x: Any) -> Any:
    return x.movedim(1, -1)


def along_axes(t: Any, x: Any, kernel: Any, transposed: bool = False, **settings: Any) -> Any:
    """A convolution of channels-last `x` with a kernel [axes, in, out] (transposed: out, in)."""
    count = x.ndim - 2
    name = CONVOLUTIONS[count].replace("conv", "conv_transpose") if transposed else (
        CONVOLUTIONS[count])
    order = (count + 1, count, *range(count))
    return last(getattr(t.nn.functional, name)(first(x), kernel.permute(order), **settings))


def _pool(name: str, count: int) -> Any:
    return lambda t, x, *args, **settings: last(
        getattr(t.nn.functional, f"{name}_pool{count}d")(first(x), *args, **settings))


def _resize(t: Any, x: Any, size: Any, **settings: Any) -> Any:
    return last(t.nn.functional.interpolate(first(x), size, **settings))


DIMENSIONS = (
    Case("conv1d", "conv1d(x, 6, groups = 2, dilation = 2)", {"x": SEQUENCE},
         lambda t, x, y_kernel, y_bias: y_bias + along_axes(
             t, x, y_kernel, padding=2, dilation=2, groups=2)),
    Case("conv3d", "conv3d(x, 3, size = [2, 3, 1], stride = [1, 2, 1], padding = [0, 1, 0])",
         {"x": VOLUME}, lambda t, x, y_kernel, y_bias: y_bias + along_axes(
             t, x, y_kernel, padding=(0, 1, 0), stride=(1, 2, 1))),
    Case("depthwise convolution", "conv2d(x, 4, groups = 4)", {"x": IMAGE},
         lambda t, x, y_kernel, y_bias: y_bias + along_axes(
             t, x, y_kernel, padding=1, groups=4)),
    Case("conv1d_transpose", "conv1d_transpose(x, 3, stride = 2, padding = 1, output_padding = 1)",
         {"x": SEQUENCE}, lambda t, x, y_kernel, y_bias: y_bias + along_axes(
             t, x, y_kernel, True, stride=2, padding=1, output_padding=1)),
    Case("conv2d_transpose", 'conv2d_transpose(x, 6, groups = 2, dilation = 2, padding = "valid")',
         {"x": IMAGE}, lambda t, x, y_kernel, y_bias: y_bias + along_axes(
             t, x, y_kernel, True, dilation=2, groups=2)),
    Case("conv2d_transpose to twice the size", "conv2d_transpose(x, 3, size = 4, stride = 2)",
         {"x": IMAGE}, lambda t, x, y_kernel, y_bias: y_bias + along_axes(
             t, x, y_kernel, True, stride=2, padding=1)),
    Case("conv3d_transpose", "conv3d_transpose(x, 3, size = 2, stride = 2)", {"x": VOLUME},
         lambda t, x, y_kernel, y_bias: y_bias + along_axes(t, x, y_kernel, True, stride=2)),
    Case("convolve_transpose", "convolve_transpose(x, k, stride = [2, 3], output_padding = [1, 0])",
         {"x": IMAGE, "k": real("f32[3, 2, 5, 4]")}, lambda t, x, k: along_axes(
             t, x, k, True, stride=(2, 3), output_padding=(1, 0))),
)
POOLS = (
    Case("max_pool of a sequence, dilated", "max_pool(x, 3, stride = 1, padding = 1, dilation = 2)",
         {"x": SEQUENCE}, lambda t, x: _pool("max", 1)(t, x, 3, 1, 1, 2)),
    Case("max_pool rounded up", "max_pool(x, 3, stride = 2, padding = 1, ceil = true)",
         {"x": IMAGE}, lambda t, x: _pool("max", 2)(t, x, 3, 2, 1, ceil_mode=True)),
    Case("max_pool of a volume", "max_pool(x, 2)", {"x": VOLUME},
         lambda t, x: _pool("max", 3)(t, x, 2)),
    Case("avg_pool that counts padding",
         "avg_pool(x, 3, stride = 2, padding = 1, ceil = true, count_padding = true)", {"x": IMAGE},
         lambda t, x: _pool("avg", 2)(t, x, 3, 2, 1, ceil_mode=True)),
    Case("avg_pool of a volume", "avg_pool(x, [2, 3, 2], stride = 1)", {"x": VOLUME},
         lambda t, x: _pool("avg", 3)(t, x, (2, 3, 2), 1)),
    Case("global_max_pool", "global_max_pool(x)", {"x": VOLUME}, lambda t, x: x.amax((1, 2, 3))),
    Case("adaptive_avg_pool", "adaptive_avg_pool(x, [3, 5])", {"x": IMAGE},
         lambda t, x: _pool("adaptive_avg", 2)(t, x, (3, 5))),
    Case("adaptive_max_pool", "adaptive_max_pool(x, [5, 1])", {"x": IMAGE},
         lambda t, x: _pool("adaptive_max", 2)(t, x, (5, 1))),
    Case("lp_pool", "lp_pool(x, 3.0, size = 2, stride = 2)", {"x": real("f32[2, 8, 7, 4]", 0.1, 2)},
         lambda t, x: _pool("lp", 2)(t, x, 3.0, 2, 2)),
    Case("lp_pool of zeros", "lp_pool(x, 3.0, size = 2, stride = 2)",
         {"x": one_of("f32[2, 8, 6, 1]", 0.0, 0.0, 0.0, 1.0)},
         lambda t, x: _pool("lp", 2)(t, x, 3.0, 2, 2)),
    Case("local_response_norm", "local_response_norm(x, 3, alpha = 0.5)", {"x": IMAGE},
         lambda t, x: last(t.nn.functional.local_response_norm(first(x), 3, 0.5))),
)
RESIZED = (
    Case("resize to the nearest", "resize(x, [12, 5])", {"x": IMAGE},
         lambda t, x: _resize(t, x, (12, 5))),
    Case("resize to the nearest centre", 'resize(x, 7, "round_up", "half_pixel")',
         {"x": real("f32[2, 5, 3]")}, lambda t, x: _resize(t, x, 7, mode="nearest-exact")),
    Case("resize linearly", 'resize(x, [5, 16], "linear")', {"x": IMAGE},
         lambda t, x: _resize(t, x, (5, 16), mode="bilinear")),
    Case("resize with aligned corners", 'resize(x, [11, 4], "linear", "align_corners")',
         {"x": IMAGE}, lambda t, x: _resize(t, x, (11, 4), mode="bilinear", align_corners=True)),
    Case("resize a volume", 'resize(x, [3, 9, 7], "linear")', {"x": VOLUME},
         lambda t, x: _resize(t, x, (3, 9, 7), mode="trilinear")),
)

IMAGES = (
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

CASES = (*IMAGES, *DIMENSIONS, *POOLS, *RESIZED)
