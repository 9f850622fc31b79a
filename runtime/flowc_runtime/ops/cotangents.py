"""Pieces of gradient rules that the families share."""

from __future__ import annotations

from typing import Any

from flowc_runtime.ops.op import Emit, Forward
from flowc_runtime.types import TensorType


def sum_to(emit: Emit, value: Any, type: TensorType) -> Any:
    """Undoes broadcasting: sums `value` over the axes along which `type` was stretched."""
    if value.type.shape == type.shape:
        return value
    extra = value.type.rank - type.rank
    stretched = tuple(
        axis
        for axis, dim in enumerate(value.type.shape)
        if axis < extra or (type.shape[axis - extra] == 1 and dim != 1)
    )
    summed = emit("reduce_sum", value, axes=stretched, keep=False) if stretched else value
    return reshape_to(emit, summed, type)


def expand(emit: Emit, value: Any, axes: tuple[int, ...], type: TensorType) -> Any:
    """Undoes a reduction of `type` over `axes`: repeats `value` along them."""
    return emit("broadcast", keep_axes(emit, value, axes, type), shape=type.shape)


def keep_axes(emit: Emit, value: Any, axes: tuple[int, ...], type: TensorType) -> Any:
    """`value`, a reduction of `type` over `axes`, with the reduced axes kept as size 1."""
    shape = tuple(1 if axis in axes else dim for axis, dim in enumerate(type.shape))
    return reshape_to(emit, value, TensorType(type.dtype, shape))


def reshape_to(emit: Emit, value: Any, type: TensorType) -> Any:
    return value if value.type.shape == type.shape else emit("reshape", value, shape=type.shape)


def scalar(emit: Emit, number: float, like: Any) -> Any:
    """A constant of `like`'s dtype; elementwise ops broadcast it."""
    return emit.constant(number, TensorType(like.type.dtype))


def no_flow(emit: Emit, forward: Forward, cotangents: tuple[Any, ...]) -> tuple[Any | None, ...]:
    """The gradient of ops that are constant almost everywhere, such as `floor`."""
    return (None,) * len(forward.operands)
