"""Functions of one operand: the primitives, and the activations of the library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numerics.case import Case, one_of, real, truth, whole


def _unary(name: str, torch: Callable[[Any, Any], Any], low: float = -3.0, high: float = 3.0,
           flow: str | None = None) -> Case:
    operands = {"x": real("f32[3, 17]", low, high)}
    return Case(name, flow or f"{name}(x)", operands, lambda t, x: torch(t, x))


def _near_0(name: str, torch: Callable[[Any, Any], Any]) -> Case:
    return Case(f"{name} near 0", f"{name}(x)", {"x": real("f32[3, 17]", -1e-5, 1e-5)}, torch,
                each=1e-5)


PRIMITIVES = (
    _unary("abs", lambda t, x: x.abs()),
    _unary("sign", lambda t, x: x.sign()),
    _unary("neg", lambda t, x: -x, flow="-x"),
    _unary("exp", lambda t, x: x.exp()),
    _unary("expm1", lambda t, x: x.expm1()),
    _near_0("expm1", lambda t, x: x.expm1()),
    _unary("log", lambda t, x: x.log(), 0.05, 9.0),
    _unary("log1p", lambda t, x: x.log1p(), -0.9, 9.0),
    _near_0("log1p", lambda t, x: x.log1p()),
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
    Case("is_nan", "is_nan(x)", {"x": one_of("f32[9]", 1.0, float("inf"), float("nan"))},
         lambda t, x: t.isnan(x)),
    Case("is_inf", "is_inf(x)", {"x": one_of("f32[9]", 1.0, -float("inf"), float("nan"))},
         lambda t, x: t.isinf(x)),
    Case("logical_not", "not x", {"x": truth("[7]")}, lambda t, x: ~x),
)

COMPOSED = (
    _unary("reciprocal", lambda t, x: 1 / x, 0.2, 3.0),
    _unary("trunc", lambda t, x: x.trunc()),
    _unary("tan", lambda t, x: x.tan(), -1.4, 1.4),
    _unary("asin", lambda t, x: x.asin(), -0.95, 0.95),
    _unary("acos", lambda t, x: x.acos(), -0.95, 0.95),
    _unary("acos at its ends", lambda t, x: x.detach().acos(), 0.9999, 1.0,
           "stop_gradient(acos(x))"),
    _unary("atan", lambda t, x: x.atan(), -9.0, 9.0),
    _unary("sinh", lambda t, x: x.sinh()),
    Case("sinh far out", "sinh(x)",
         {"x": one_of("f32[23]", -20.0, -10.0, -4.0, 4.0, 20.0)}, lambda t, x: x.sinh(), each=1e-5),
    Case("sinh close to overflow", "sinh(x)", {"x": one_of("f32[1]", -89.0, 89.0)},
         lambda t, x: x.sinh(), each=1e-5),
    _unary("cosh", lambda t, x: x.cosh()),
    _unary("asinh", lambda t, x: x.asinh(), -90.0, 90.0),
    _near_0("sinh", lambda t, x: x.sinh()),
    _near_0("asinh", lambda t, x: x.asinh()),
    Case("asinh far out", "asinh(x)",
         {"x": one_of("f32[23]", -1e20, -89.0, -20.0, -1.0, 1.0, 20.0, 89.0, 1e20)},
         lambda t, x: x.asinh(), each=1e-5),
    _unary("acosh", lambda t, x: x.acosh(), 1.01, 9.0),
    Case("acosh far out", "acosh(x)", {"x": one_of("f32[23]", 2.0, 20.0, 89.0, 1e20)},
         lambda t, x: x.acosh(), each=1e-5),
    _unary("atanh", lambda t, x: x.atanh(), -0.95, 0.95),
    Case("bit_not", "bit_not(x)", {"x": whole("i32[9]", -99, 99)}, lambda t, x: ~x),
    Case("bit_not without a sign", "bit_not(x)", {"x": whole("u8[9]", 0, 255)}, lambda t, x: ~x),
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
    _unary("gelu, exactly", lambda t, x: t.nn.functional.gelu(x), flow="gelu(x, exact = true)"),
    _unary("relu6", lambda t, x: t.nn.functional.relu6(x), -3.0, 9.0),
    Case("prelu", "prelu(x)", {"x": real("f32[3, 5]")},
         lambda t, x, y_slope: t.nn.functional.prelu(x, y_slope)),
    _unary("selu", lambda t, x: t.nn.functional.selu(x)),
    _unary("celu", lambda t, x: t.nn.functional.celu(x, 1.3), flow="celu(x, alpha = 1.3)"),
    _unary("log_sigmoid", lambda t, x: t.nn.functional.logsigmoid(x), -40.0, 40.0),
    _unary("hard_sigmoid", lambda t, x: t.nn.functional.hardsigmoid(x), -6.0, 6.0),
    _unary("hard_swish", lambda t, x: t.nn.functional.hardswish(x), -6.0, 6.0),
    _unary("hard_tanh", lambda t, x: t.nn.functional.hardtanh(x)),
    _unary("softsign", lambda t, x: t.nn.functional.softsign(x)),
    _unary("mish", lambda t, x: t.nn.functional.mish(x), -20.0, 20.0),
    _unary("soft_shrink", lambda t, x: t.nn.functional.softshrink(x)),
    _unary("hard_shrink", lambda t, x: t.nn.functional.hardshrink(x)),
    Case("glu", "glu(x)", {"x": real("f32[3, 8]")}, lambda t, x: t.nn.functional.glu(x)),
    _unary("softmax", lambda t, x: t.softmax(x, -1)),
    _unary("softmax of large numbers", lambda t, x: t.softmax(x, -1), 9e3, 9.001e3, "softmax(x)"),
    _unary("softmax over another axis", lambda t, x: t.softmax(x, 0), flow="softmax(x, over = 0)"),
    _unary("log_softmax", lambda t, x: t.log_softmax(x, -1)),
)



def _at_0(name: str, torch: Callable[[Any, Any], Any], flow: str | None = None) -> Case:
    """Where the pieces of a function meet, and its gradient must be that of the whole."""
    operands = {"x": one_of("f32[3]", 0.0)}
    return Case(f"{name} at 0", flow or f"{name}(x)", operands, torch)


AT_0 = (
    _at_0("softplus", lambda t, x: t.nn.functional.softplus(x)),
    _at_0("log_sigmoid", lambda t, x: t.nn.functional.logsigmoid(x)),
    _at_0("mish", lambda t, x: t.nn.functional.mish(x)),
    _at_0("elu", lambda t, x: t.nn.functional.elu(x, 1.3), "elu(x, alpha = 1.3)"),
    _at_0("selu", lambda t, x: t.nn.functional.selu(x)),
    _at_0("celu", lambda t, x: t.nn.functional.celu(x, 1.3), "celu(x, alpha = 1.3)"),
    _at_0("sinh", lambda t, x: x.sinh()),
    _at_0("asinh", lambda t, x: x.asinh()),
    Case("softplus of infinities", "stop_gradient(softplus(x))",
         {"x": one_of("f32[9]", -float("inf"), 0.0, 9.0)},
         lambda t, x: t.nn.functional.softplus(x.detach())),
)

CASES = (*PRIMITIVES, *COMPOSED, *ACTIVATIONS, *AT_0)
