"""Pieces of type rules that the families share; each raises Reject with the operand to blame."""

from __future__ import annotations

from collections.abc import Sequence

from flowc_runtime.dims import Dim
from flowc_runtime.ops.op import Reject, Types
from flowc_runtime.types import FLOATS, TensorType

Shape = tuple[Dim, ...]

INTS = ("i64", "i32", "i8", "u8")
NUMBERS = (*FLOATS, *INTS)
COMPUTED = (*NUMBERS, "bool")  # all but bf16, which is for storage only


def broadcast_shapes(a: Shape, b: Shape, operand: int = 1, other: int = 0) -> Shape:
    """The shape that `a` and `b` broadcast to, by NumPy's rule: trailing axes meet, 1 stretches.

    `operand` and `other` are the positions of `b` and `a`, for the message.
    """
    if a == b or not b:
        return a
    if not a:
        return b
    rank = max(len(a), len(b))
    left = (1,) * (rank - len(a)) + a
    right = (1,) * (rank - len(b)) + b
    for axis, (x, y) in enumerate(zip(left, right, strict=True)):
        if x != y and x != 1 and y != 1:
            own = axis - (rank - len(b))
            raise Reject(
                f"has size {y} along axis {own}, but needs {x} (or 1) to match {shape_text(a)}",
                operand,
                other,
            )
    return tuple(y if x == 1 else x for x, y in zip(left, right, strict=True))


def broadcast_operands(types: Types) -> Shape:
    """The shape that all operands broadcast to together."""
    shape = types[0].shape
    if all(type.shape == shape for type in types):
        return shape
    for position in range(1, len(types)):
        for before in range(position):
            broadcast_shapes(types[before].shape, types[position].shape, position, before)
        shape = broadcast_shapes(shape, types[position].shape, position)
    return shape


def need_dtype(types: Types, allowed: Sequence[str], first: int = 0) -> None:
    """Refuses operands whose dtype is not in `allowed`; `first` is the first one's position."""
    for position, type in enumerate(types, first):
        if type.dtype not in allowed:
            raise Reject(f"is {type.dtype}, but {_kinds_text(type.dtype, allowed)}", position)


def same_dtype(types: Types, first: int = 0) -> str:
    """The one dtype of all operands; `first` is the position of the first one given."""
    for position in range(1, len(types)):
        if types[position].dtype != types[0].dtype:
            raise _mismatch(types, 0, position, first)
    return types[0].dtype


def need_rank(type: TensorType, least: int, operand: int) -> None:
    if type.rank < least:
        raise Reject(f"needs at least {least} axes, but is {type}", operand)


def need_axis(axis: int, type: TensorType, operand: int = 0) -> None:
    """Refuses an axis that `type` has not; axes count from 0."""
    if not 0 <= axis < type.rank:
        raise Reject(f"has no axis {axis}: it is {type}", operand)


def need_axes(axes: Sequence[int], type: TensorType, operand: int = 0) -> None:
    for axis in axes:
        need_axis(axis, type, operand)
    if len(set(axes)) != len(axes):
        raise Reject(f"is reduced twice along one axis: {tuple(axes)}", operand)


def shape_text(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _mismatch(types: Types, a: int, b: int, first: int) -> Reject:
    """Blames the operand that is no float if the other is one, and the later one otherwise."""
    if types[b].kind == "float" and types[a].kind != "float":
        a, b = b, a
    wanted = types[a].dtype
    return Reject(
        f"is {types[b].dtype}, but {wanted} is needed to match the other operand; "
        f"use cast(x, {wanted})",
        b + first,
        a + first,
    )


def _kinds_text(dtype: str, allowed: Sequence[str]) -> str:
    if dtype == "bf16":
        return f"bf16 is for storage only; use cast(x, {allowed[min(1, len(allowed) - 1)]})"
    if tuple(allowed) == FLOATS:
        return "a float is needed; use cast(x, f32)"
    if tuple(allowed) == INTS:
        return "an integer is needed; use cast(x, i32)"
    if tuple(allowed) == NUMBERS:
        return "a number is needed; use cast(x, f32)"
    if tuple(allowed) == ("bool",):
        return "bool is needed; compare it with something, or use cast(x, bool)"
    return f"{' or '.join(allowed)} is needed"
