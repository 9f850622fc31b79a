"""Functions of single elements; on numbers they are computed while compiling."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.arithmetic import as_tensors, elementwise, to_tensor
from flowc.lower.builtins.arguments import builtin, tensor
from flowc.lower.values import POISON, Arg, Builtin, Tensor, is_dtype, is_number
from flowc.source import Span
from flowc_runtime.dims import Poly

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

# What each function does to a number; the op of the catalog has the same name.
UNARY: dict[str, tuple[Callable[[Any], Any] | None, str]] = {
    "abs": (abs, "the absolute value"),
    "sign": (lambda v: (v > 0) - (v < 0), "-1, 0 or 1"),
    "exp": (math.exp, "e to the power x"),
    "expm1": (math.expm1, "exp(x) - 1, exact near 0"),
    "log": (math.log, "the natural logarithm"),
    "log1p": (math.log1p, "log(1 + x), exact near 0"),
    "sqrt": (math.sqrt, "the square root"),
    "rsqrt": (lambda v: 1 / math.sqrt(v), "1 / sqrt(x)"),
    "sin": (math.sin, "the sine"),
    "cos": (math.cos, "the cosine"),
    "tanh": (math.tanh, "the hyperbolic tangent"),
    "erf": (math.erf, "the error function"),
    "floor": (math.floor, "the largest whole number not above x"),
    "ceil": (math.ceil, "the smallest whole number not below x"),
    "round": (round, "the nearest whole number, halves to even"),
    "is_finite": (None, "true where x is neither infinite nor NaN"),
}


def _unary(name: str) -> Builtin:
    rule, doc = UNARY[name]

    def run(lw: Lowerer, span: Span, x: Arg) -> Any:
        if isinstance(x.value, Tensor):
            return lw.emit(name, [x], span)
        if rule is None or not isinstance(x.value, (int, float)) or isinstance(x.value, bool):
            lw.report(errors.needs_tensor(name, x))
            return POISON
        try:
            return rule(x.value)
        except (ValueError, OverflowError, ZeroDivisionError):
            lw.report(errors.outside_domain(name, x))
            return POISON

    return builtin(name, doc, run, "x")


def _where(lw: Lowerer, span: Span, condition: Arg, a: Arg, b: Arg) -> Any:
    if not tensor(lw, "where", condition):
        return POISON
    branches = as_tensors(lw, [a, b], span)
    return POISON if branches is None else lw.emit("where", [condition, *branches], span)


def _cast(lw: Lowerer, span: Span, x: Arg, dtype: Arg) -> Any:
    if not is_dtype(dtype.value):
        lw.report(errors.wants("cast", "a dtype such as f32", dtype))
        return POISON
    if is_number(x.value) or isinstance(x.value, bool):
        return to_tensor(lw, x, dtype.value).value
    if not tensor(lw, "cast", x):
        return POISON
    return x.value if x.value.type.dtype == dtype.value else lw.emit(
        "cast", [x], span, dtype=dtype.value)


def _stop_gradient(lw: Lowerer, span: Span, x: Arg) -> Any:
    return lw.emit("stop_gradient", [x], span) if tensor(lw, "stop_gradient", x) else POISON


def extremum(lw: Lowerer, span: Span, op: str, args: tuple[Arg, ...]) -> Any:
    """The elementwise maximum or minimum of two or more tensors or numbers."""
    if all(isinstance(a.value, (int, float)) for a in args):
        return (max if op == "maximum" else min)(a.value for a in args)
    result = args[0]
    for other in args[1:]:
        result = Arg(elementwise(lw, op, [result, other], span), span)
    return result.value


def _atan2(lw: Lowerer, span: Span, y: Arg, x: Arg) -> Any:
    if all(is_number(a.value) and not isinstance(a.value, Poly) for a in (y, x)):
        return math.atan2(y.value, x.value)
    return elementwise(lw, "atan2", [y, x], span)


def _bits(op: str) -> Any:
    def run(lw: Lowerer, span: Span, a: Arg, b: Arg) -> Any:
        if not isinstance(b.value, Tensor) and not tensor(lw, op, a):
            return POISON
        return elementwise(lw, op, [a, b], span)

    return run


FUNCTIONS = (
    *(_unary(name) for name in UNARY),
    builtin("atan2", "the angle of the point (x, y), in radians from -pi to pi", _atan2, "y", "x"),
    builtin("bit_and", "the bits that both integers have", _bits("bit_and"), "a", "b"),
    builtin("bit_or", "the bits that one of two integers has", _bits("bit_or"), "a", "b"),
    builtin("bit_xor", "the bits that just one of two integers has", _bits("bit_xor"), "a", "b"),
    builtin("where", "`a` where the condition holds, else `b`, element by element", _where,
            "condition", "a", "b"),
    builtin("cast", "x in another dtype", _cast, "x", "dtype"),
    builtin("stop_gradient", "x itself, but no gradient flows through", _stop_gradient, "x"),
)
