"""Operators on tensors: numbers take the dtype of the tensor they meet, dtypes never mix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.limits import RANGES, holds
from flowc.lower.values import POISON, Arg, Tensor, is_dim, is_number
from flowc.source import Span, in_library
from flowc_runtime.types import TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

OPERATOR_OPS = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "//": "floor_div", "%": "remainder",
    "^": "pow", "==": "equal", "!=": "not_equal", "<": "less", "<=": "less_equal",
    ">": "greater", ">=": "greater_equal", "and": "logical_and", "or": "logical_or",
}


def binary_tensors(lw: Lowerer, op: str, left: Arg, right: Arg, span: Span) -> Any:
    """`left OP right` where at least one side is a tensor."""
    if op == "@":
        return matrix_product(lw, left, right, span)
    if op not in OPERATOR_OPS:
        lw.report(errors.bad_operands(op, left, right, span))
        return POISON
    return elementwise(lw, OPERATOR_OPS[op], [left, right], span)


def elementwise(lw: Lowerer, op: str, args: list[Arg], span: Span) -> Any:
    """An elementwise op over tensors and numbers."""
    tensors = as_tensors(lw, args, span)
    if tensors is None:
        return POISON
    if op == "div" and tensors[0].value.type.kind == "int":
        lw.report(errors.integer_division(tensors, span))
        return POISON
    return lw.emit(op, tensors, span)


def as_tensors(lw: Lowerer, args: list[Arg], span: Span) -> list[Arg] | None:
    """The arguments with numbers made scalar tensors of the tensors' dtype."""
    if any(arg.value is POISON for arg in args):
        return None
    first = next((a.value for a in args if isinstance(a.value, Tensor)), None)
    dtype = first.type.dtype if first is not None else "f32"
    converted = [to_tensor(lw, arg, dtype) for arg in args]
    if any(arg.value is POISON for arg in converted):
        return None
    return converted


def to_tensor(lw: Lowerer, arg: Arg, dtype: str) -> Arg:
    """A number as a scalar tensor of `dtype`; a tensor stays as it is."""
    value = arg.value
    if isinstance(value, Tensor) or value is POISON:
        return arg
    if not is_kind(value, dtype):
        lw.report(errors.no_number_of(arg, dtype))
        return Arg(POISON, arg.span)
    if not isinstance(value, bool) and not holds(dtype, value):
        lw.report(errors.beyond_dtype(arg, dtype, RANGES[dtype]))
        return Arg(POISON, arg.span)
    if TensorType(dtype).kind == "float" and isinstance(value, int):
        value = float(value)
    return Arg(lw.constant(value, dtype, arg.span), arg.span)


def is_kind(value: Any, dtype: str) -> bool:
    """Whether a value known while compiling is what tensors of a dtype are made of."""
    match TensorType(dtype).kind:
        case "bool":
            return isinstance(value, bool)
        case "int":
            return is_dim(value)
    return is_number(value) and not isinstance(value, bool)


def matrix_product(lw: Lowerer, left: Arg, right: Arg, span: Span) -> Any:
    """`a @ b`, where a vector on either side is a row or a column, as in NumPy."""
    for arg in (left, right):
        if not isinstance(arg.value, Tensor):
            lw.report(errors.needs_tensor("@", arg))
            return POISON
    a, b = left.value.type, right.value.type
    if a.rank == 0 or b.rank == 0:
        lw.report(errors.scalar_product(left, right, span))
        return POISON
    rows = reshaped(lw, left, (1, *a.shape)) if a.rank == 1 else left
    columns = reshaped(lw, right, (*b.shape, 1)) if b.rank == 1 else right
    product = lw.emit("matmul", [rows, columns], span)
    if product is POISON:
        return POISON
    shape = product.type.shape
    if b.rank == 1:
        shape = shape[:-1]
    if a.rank == 1:
        shape = shape[:-2] + shape[-1:] if b.rank > 1 else shape[:-1]
    return product if shape == product.type.shape else reshaped(lw, Arg(product, span), shape).value


def reshaped(lw: Lowerer, arg: Arg, shape: tuple[Any, ...]) -> Arg:
    return Arg(lw.emit("reshape", [arg], arg.span, shape=shape), arg.span)


def broadcast_warning(
    lw: Lowerer, op: str, left: Arg, right: Arg, result: Tensor, span: Span
) -> None:
    """Warns where both sides are stretched: `[n, 1]` against `[n]` is seldom meant."""
    a, b = left.value, right.value
    if op == "@" or not (isinstance(a, Tensor) and isinstance(b, Tensor)):
        return
    if stretches_both(a.type, b.type) and not (_made_here(lw, a, span) or _made_here(lw, b, span)):
        lw.report(errors.accidental_broadcast(left, right, span, result.type, lw))


def _made_here(lw: Lowerer, tensor: Tensor, span: Span) -> bool:
    """Whether the library made the tensor, and so knows what it does with it."""
    return in_library(span) and lw.node_of(tensor).origin.span == lw.authors_span(span)


def stretches_both(a: TensorType, b: TensorType) -> bool:
    """Whether broadcasting repeats both operands and their ranks differ."""
    if a.rank == b.rank or not a.rank or not b.rank:
        return False
    rank = max(a.rank, b.rank)
    left = (1,) * (rank - a.rank) + a.shape
    right = (1,) * (rank - b.rank) + b.shape
    grows_a = any(x == 1 and y != 1 for x, y in zip(left, right, strict=True))
    grows_b = any(y == 1 and x != 1 for x, y in zip(left, right, strict=True))
    return grows_a and grows_b
