"""What all elementwise ops share: type rules, and kernels made from NumPy's ufuncs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flowc_runtime.ops.op import Array, Attrs, Emit, Forward, Infer, Kernel, Types
from flowc_runtime.ops.rules import broadcast_operands, need_dtype, same_dtype
from flowc_runtime.types import TensorType

Rule = Callable[[Emit, Forward, Any], "tuple[Any | None, ...]"]


def same_type(dtypes: Sequence[str]) -> Infer:
    """The rule of ops whose operands and result have one dtype, out of `dtypes`."""

    def infer(types: Types, attrs: Attrs) -> Types:
        need_dtype(types, dtypes)
        return (TensorType(same_dtype(types), broadcast_operands(types)),)

    return infer


def truth(dtypes: Sequence[str]) -> Infer:
    """The rule of ops that answer yes or no about operands of one dtype, out of `dtypes`."""

    def infer(types: Types, attrs: Attrs) -> Types:
        need_dtype(types, dtypes)
        same_dtype(types)
        return (TensorType("bool", broadcast_operands(types)),)

    return infer


def ufunc_kernel(ufunc: Callable[..., Any]) -> Kernel:
    """A kernel that is one call of `ufunc`; it broadcasts, and may write over an operand."""

    def kernel(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
        ufunc(*ins, out=outs[0])

    return kernel


def single(
    rule: Rule,
) -> Callable[[Emit, Forward, tuple[Any, ...]], tuple[Any | None, ...]]:
    """A gradient from a rule that takes the cotangent of the only result."""

    def gradient(
        emit: Emit, forward: Forward, cotangents: tuple[Any, ...]
    ) -> tuple[Any | None, ...]:
        return rule(emit, forward, cotangents[0])

    return gradient


def is_constant(x: Array) -> bool:
    """Whether `x` is one number, perhaps stretched over a shape."""
    return x.size == 1 or (x.size > 1 and not any(x.strides))
