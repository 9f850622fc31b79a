"""Functions of one operand: the primitives, and the activations of the library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numerics.case import Case, one_of, real, truth


def _unary(name: str, torch: Callable[[Any, Any], Any], low: float = -3.0, high: float = 3.0,
           flow: str | None = None) -> Case:
    operands = {"x": real("f32[3, 17]", low, high)}
    return Case(name, flow or f"{name}(x)", operands, lambda t, x: torch(t, x))


PRIMITIVES = (
    _unary("abs", lambda t, x: x.abs()),
    _unary("sign", lambda t, x: x.sign()),
    _unary("neg", lambda t, x: -x, flow="-x"),
    _unary("exp", lambda t, x: x.exp()),
    _unary("expm1", lambda t, x: x.expm1()),
    _unary("expm1 near 0", lambda t, x: x.expm1(), -1e-5, 1e-5, "expm1(x)"),
    _unary("log", lambda t, x: x.log(), 0.05, 9.0),
    _unary("log1p", lambda t, x: x.log1p(), -0.9, 9.0),
    _unary("log1p near 0", lambda t, x: x.log1p(), -1e-5, 1e-5, "log1p(x)"),
    _unary("sqrt", lambda t, x: x.sqrt(), 0.05, 9.0),
    _unary("rsqrt", lambda t, x: x.rsqrt(), 0.05, 9.0),
    _unary("sin", lambda t, x: x.sin(), -9.0, 9.0),
    _unary("cos", lambda t, x: x.cos(), -9.0, 9.0),
    _unary("tanh", lambda t, x: x.tanh()),
    _unary("erf", lambda t, x: x.erf()),
    _unary("floor", lambda t, x: x.floor()),
    _unary("ceil", lambda t, x: x.ceil()),
    _unary("round", lambda t, x: x.round()),
    Case("round halves", "round(x)", {"x": one_of("f32[12]", -2.5, -1.5, -0.5, 0.5, 1.5, 2.5)},
         lambda t, x: x.round()),
    Case("is_finite", "is_finite(x)", {"x": one_of("f32[9]", 1.0, float("inf"), float("nan"))},
         lambda t, x: t.isfinite(x)),
    Case("logical_not", "not x", {"x": truth("[7]")}, lambda t, x: ~x),
)

ACTIVATIONS = (
    _unary("relu", lambda t, x: t.relu(x)),
    _unary("leaky_relu", lambda t, x: t.nn.functional.leaky_relu(x, 0.2),
           flow="leaky_relu(x, slope = 0.2)"),
    _unary("elu", lambda t, x: t.nn.functional.elu(x, 1.3), flow="elu(x, alpha = 1.3)"),
    _unary("sigmoid", lambda t, x: t.sigmoid(x), -30.0, 30.0),
    _unary("softplus", lambda t, x: t.nn.functional.softplus(x, threshold=1e9), -40.0, 40.0),
    _unary("silu", lambda t, x: t.nn.functional.silu(x)),
    _unary("gelu", lambda t, x: t.nn.functional.gelu(x, approximate="tanh")),
    _unary("softmax", lambda t, x: t.softmax(x, -1)),
    _unary("softmax of large numbers", lambda t, x: t.softmax(x, -1), 9e3, 9.001e3, "softmax(x)"),
    _unary("log_softmax", lambda t, x: t.log_softmax(x, -1)),
)

CASES = (*PRIMITIVES, *ACTIVATIONS)
