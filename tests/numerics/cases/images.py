"""Convolution, pooling and resizing of sequences, images and volumes, channels last."""

from __future__ import annotations

from typing import Any

from numerics.case import Case, real

SEQUENCE, VOLUME = real("f32[2, 9, 4]"), real("f32[2, 5, 4, 6, 3]")
IMAGE = real("f32[2, 8, 7, 4]")


def first(x: Any) -> Any:
    """The channels in front, where PyTorch has them."""
    return x.movedim(-1, 1)


def last(x: Any) -> Any:
    return x.movedim(1, -1)


def convolution(t: Any, x: Any, kernel: Any, transposed: bool = False, **settings: Any) -> Any:
    """With a kernel [axes, in, out], or [axes, out, in] if transposed."""
    name = f"conv{'_transpose' * transposed}{x.ndim - 2}d"
    weight = kernel.movedim((-1, -2), (0, 1))
    return last(getattr(t.nn.functional, name)(first(x), weight, **settings))


def padded(t: Any, x: Any, *sides: tuple[int, int]) -> Any:
    """`sides` of each axis between batch and channels, zeros."""
    flat = [n for side in reversed(sides) for n in side]
    return t.nn.functional.pad(x, (0, 0, *flat))


def pooled(t: Any, x: Any, kind: str, *args: Any, **settings: Any) -> Any:
    return last(getattr(t.nn.functional, f"{kind}_pool{x.ndim - 2}d")(first(x), *args, **settings))


CONVOLUTIONS = (
    Case("convolve", "convolve(x, k, stride = [2, 1], padding = [[2, 1], [0, 3]])",
         {"x": IMAGE, "k": real("f32[3, 2, 4, 5]")},
         lambda t, x, k: convolution(t, padded(t, x, (2, 1), (0, 3)), k, stride=(2, 1))),
    Case("convolve in groups, dilated",
         'convolve(x, k, padding = "same", dilation = 2, groups = 2)',
         {"x": IMAGE, "k": real("f32[3, 3, 2, 6]")},
         lambda t, x, k: convolution(t, x, k, padding=2, dilation=2, groups=2)),
    Case("convolve each channel", "convolve(x, k, groups = 4)",
         {"x": IMAGE, "k": real("f32[3, 3, 1, 4]")},
         lambda t, x, k: convolution(t, x, k, groups=4)),
    Case("convolve sequences", "convolve(x, k, stride = 2, padding = 2, dilation = 3)",
         {"x": SEQUENCE, "k": real("f32[3, 4, 5]")},
         lambda t, x, k: convolution(t, x, k, stride=2, padding=2, dilation=3)),
    Case("convolve volumes", "convolve(x, k, stride = [1, 2, 2], padding = 1)",
         {"x": VOLUME, "k": real("f32[2, 3, 3, 3, 4]")},
         lambda t, x, k: convolution(t, x, k, stride=(1, 2, 2), padding=1)),
    Case("convolve_transpose",
         "convolve_transpose(x, k, stride = [2, 3], padding = 1, output_padding = [1, 2])",
         {"x": IMAGE, "k": real("f32[3, 3, 5, 4]")},
         lambda t, x, k: convolution(t, x, k, True, stride=(2, 3), padding=1,
                                     output_padding=(1, 2))),
    Case("convolve_transpose in groups, dilated",
         "convolve_transpose(x, k, stride = 2, dilation = 2, groups = 2)",
         {"x": IMAGE, "k": real("f32[3, 2, 3, 4]")},
         lambda t, x, k: convolution(t, x, k, True, stride=2, dilation=2, groups=2)),
    Case("conv1d", "conv1d(x, 3, size = 5)", {"x": SEQUENCE},
         lambda t, x, y_kernel, y_bias: convolution(t, x, y_kernel, padding=2) + y_bias),
    Case("conv2d", "conv2d(x, 3)", {"x": IMAGE}, lambda t, x, y_kernel, y_bias: (
        convolution(t, x, y_kernel, padding=1) + y_bias)),
    Case("conv2d with a stride", "conv2d(x, 3, stride = 2, bias = false)", {"x": IMAGE},
         lambda t, x, y_kernel: convolution(t, padded(t, x, (0, 1), (1, 1)), y_kernel, stride=2)),
    Case("conv3d", "conv3d(x, 2)", {"x": VOLUME},
         lambda t, x, y_kernel, y_bias: convolution(t, x, y_kernel, padding=1) + y_bias),
    Case("conv1d_transpose", 'conv1d_transpose(x, 3, size = 4, stride = 2, padding = "valid")',
         {"x": SEQUENCE}, lambda t, x, y_kernel, y_bias: (
             convolution(t, x, y_kernel, True, stride=2) + y_bias)),
    Case("conv2d_transpose", "conv2d_transpose(x, 3, size = 4, stride = 2)", {"x": IMAGE},
         lambda t, x, y_kernel, y_bias: (
             convolution(t, x, y_kernel, True, stride=2, padding=1) + y_bias)),
    Case("conv3d_transpose", "conv3d_transpose(x, 2, size = 2, stride = 2)", {"x": VOLUME},
         lambda t, x, y_kernel, y_bias: convolution(t, x, y_kernel, True, stride=2) + y_bias),
)

POOLS = (
    Case("max_pool", "max_pool(x, 3, stride = 2)", {"x": IMAGE},
         lambda t, x: pooled(t, x, "max", 3, 2)),
    Case("max_pool of sequences", "max_pool(x, 3, stride = 2, padding = 1)", {"x": SEQUENCE},
         lambda t, x: pooled(t, x, "max", 3, 2, 1)),
    Case("max_pool of volumes", "max_pool(x, 2)", {"x": VOLUME},
         lambda t, x: pooled(t, x, "max", 2)),
    Case("avg_pool", "avg_pool(x, [2, 3], stride = 1, padding = [[1, 0], [1, 1]])", {"x": IMAGE},
         lambda t, x: pooled(t, x, "avg", (2, 3), 1, (1, 1), count_include_pad=False)[:, :-1]),
    Case("avg_pool that counts padding", "avg_pool(x, 3, 2, padding = 1, count_padding = true)",
         {"x": VOLUME}, lambda t, x: pooled(t, x, "avg", 3, 2, 1)),
    Case("global_avg_pool", "global_avg_pool(x)", {"x": IMAGE}, lambda t, x: x.mean((1, 2))),
    Case("global_max_pool", "global_max_pool(x)", {"x": VOLUME}, lambda t, x: x.amax((1, 2, 3))),
    Case("adaptive_avg_pool", "adaptive_avg_pool(x, [3, 2])", {"x": IMAGE},
         lambda t, x: pooled(t, x, "adaptive_avg", (3, 2))),
    Case("adaptive_max_pool", "adaptive_max_pool(x, 3)", {"x": IMAGE},
         lambda t, x: pooled(t, x, "adaptive_max", 3)),
    Case("lp_pool", "lp_pool(x, 2.0, 2, 2)", {"x": real("f32[2, 8, 6, 3]", 0.2, 2.0)},
         lambda t, x: pooled(t, x, "lp", 2.0, 2, 2)),
    Case("local_response_norm", "local_response_norm(x, 3, alpha = 0.1, bias = 2.0)",
         {"x": IMAGE}, lambda t, x: last(
             t.nn.functional.local_response_norm(first(x), 3, 0.1, 0.75, 2.0))),
)


def resized(t: Any, x: Any, *size: int, **settings: Any) -> Any:
    return last(t.nn.functional.interpolate(first(x), size, **settings))


SIZES = (
    Case("resize", "resize(x, [16, 21])", {"x": IMAGE}, lambda t, x: resized(t, x, 16, 21)),
    Case("resize to less", "resize(x, [5, 3])", {"x": IMAGE}, lambda t, x: resized(t, x, 5, 3)),
    Case("resize linearly", 'resize(x, [13, 5], "linear")', {"x": IMAGE},
         lambda t, x: resized(t, x, 13, 5, mode="bilinear")),
    Case("resize by corners", 'resize(x, [13, 5], "linear", "align_corners")', {"x": IMAGE},
         lambda t, x: resized(t, x, 13, 5, mode="bilinear", align_corners=True)),
    Case("resize volumes", 'resize(x, [7, 9, 3], "linear")', {"x": VOLUME},
         lambda t, x: resized(t, x, 7, 9, 3, mode="trilinear")),
)

CASES = (*CONVOLUTIONS, *POOLS, *SIZES)
