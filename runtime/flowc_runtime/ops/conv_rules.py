"""The type rules and costs of convolution and its gradients."""

from __future__ import annotations

from math import prod
from typing import Any

from flowc_runtime.ops.op import Attrs, Cost, Reject, Types, bytes_moved
from flowc_runtime.ops.rules import Shape, need_dtype, same_dtype
from flowc_runtime.ops.window import axis_names, checked_axes, known
from flowc_runtime.types import FLOATS, TensorType


def infer_conv(types: Types, attrs: Attrs) -> Types:
    _check_dtypes(types)
    image, kernel = types
    return (TensorType(image.dtype, _result_shape(image, kernel, attrs, 0, 1)),)


def infer_input_grad(types: Types, attrs: Attrs) -> Types:
    _check_dtypes(types)
    g, kernel = types
    image = TensorType(g.dtype, attrs["shape"])
    _check_cotangent(g, _result_shape(image, kernel, attrs, None, 1), 0)
    return (image,)


def infer_weight_grad(types: Types, attrs: Attrs) -> Types:
    _check_dtypes(types)
    image, g = types
    kernel = TensorType(image.dtype, attrs["shape"])
    _check_cotangent(g, _result_shape(image, kernel, attrs, 0, None), 1)
    return (kernel,)


def _check_dtypes(types: Types) -> None:
    need_dtype(types, FLOATS)
    same_dtype(types)


def _result_shape(
    image: TensorType, kernel: TensorType, attrs: Attrs, image_at: int | None, kernel_at: int | None
) -> Shape:
    """The shape of conv's result; raises Reject where image and kernel do not fit.

    `image_at` and `kernel_at` are the operands to blame, None where an attribute gave the shape.
    """
    *window, depth, filters = _kernel_sizes(kernel, axis_names(attrs), kernel_at)
    axes = checked_axes(image, tuple(window), attrs, image_at)
    channels = known(image.shape[-1], "number of channels", image_at)
    groups = attrs["groups"]
    _check_groups(groups, channels, filters)
    if depth * groups != channels:
        raise Reject(
            f"needs {channels // groups} channels along axis {len(window)} to match {image}"
            f"{f' in {groups} groups' if groups > 1 else ''}, but is {kernel}",
            kernel_at,
            image_at,
        )
    return (image.shape[0], *(axis.steps for axis in axes), filters)


def _kernel_sizes(kernel: TensorType, axes: tuple[str, ...], at: int | None) -> tuple[int, ...]:
    if kernel.rank != len(axes) + 2:
        raise Reject(
            f"needs the shape [{', '.join(axes)}, channels, filters], but is {kernel}", at
        )
    names = (*(f"kernel {name}" for name in axes), "number of channels", "number of filters")
    return tuple(known(dim, name, at) for dim, name in zip(kernel.shape, names, strict=True))


def _check_groups(groups: Any, channels: int, filters: int) -> None:
    if not isinstance(groups, int) or groups < 1:
        raise Reject(f"needs a whole number of groups of at least 1, not {groups}")
    for count, name in ((channels, "channels"), (filters, "filters")):
        if count % groups:
            raise Reject(f"needs {name} that {groups} groups divide evenly, not {count}")


def _check_cotangent(g: TensorType, shape: Shape, at: int) -> None:
    if g.shape != shape:
        raise Reject(f"needs the shape {TensorType(g.dtype, shape)} of the result, but is {g}", at)


# Costs: each of the three ops multiplies every output pixel with every kernel element once.


def _work(result: TensorType, kernel: TensorType) -> int:
    return 2 * prod(result.sizes) * prod(kernel.sizes[:-1])


def cost_conv(types: Types, results: Types, attrs: Attrs) -> Cost:
    return Cost(_work(results[0], types[1]), bytes_moved(types, results))


def cost_input_grad(types: Types, results: Types, attrs: Attrs) -> Cost:
    return Cost(_work(types[0], types[1]), bytes_moved(types, results))


def cost_weight_grad(types: Types, results: Types, attrs: Attrs) -> Cost:
    return Cost(_work(types[1], results[0]), bytes_moved(types, results))
