"""Elementwise ops of several operands: arithmetic, comparison, logic, choice, conversion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numerics.case import Case, one_of, real, truth, whole

A, B = real("f32[3, 1, 5]"), real("f32[4, 1]")  # they stretch each other
SOME = one_of("f32[23]", -1.0, 0.0, 1.0, 2.0)
OTHER = one_of("f32[23]", -1.0, 0.0, 1.0, 3.0)

BITS = whole("i32[23]", -99, 99)


def _binary(name: str, flow: str, torch: Callable[[Any, Any, Any], Any], a: Any = A,
            b: Any = B) -> Case:
    return Case(name, flow, {"a": a, "b": b}, lambda t, a, b: torch(t, a, b))


def _comparison(sign: str, torch: Callable[[Any, Any], Any]) -> Case:
    return _binary(f"a {sign} b", f"a {sign} b", lambda t, a, b: torch(a, b), SOME, OTHER)


CASES = (
    _binary("add", "a + b", lambda t, a, b: a + b),
    _binary("sub", "a - b", lambda t, a, b: a - b),
    _binary("mul", "a * b", lambda t, a, b: a * b),
    _binary("div", "a / b", lambda t, a, b: a / b, b=real("f32[4, 1]", 0.3, 2.0)),
    _binary("pow", "a ^ b", lambda t, a, b: a**b, a=real("f32[3, 1, 5]", 0.2, 2.0)),
    _binary("pow of negatives", "a ^ 3 + b", lambda t, a, b: a**3 + b),
    _binary("maximum", "max(a, b)", lambda t, a, b: t.maximum(a, b)),
    _binary("minimum", "min(a, b)", lambda t, a, b: t.minimum(a, b)),
    _binary("floor_div", "a // b", lambda t, a, b: t.floor_divide(a, b).detach(),
            b=real("f32[4, 1]", 0.3, 2.0)),
    _binary("floor_div of integers", "a // b", lambda t, a, b: t.floor_divide(a, b),
            whole("i32[23]", -9, 9), whole("i32[23]", 1, 5)),
    _binary("remainder", "a % b", lambda t, a, b: t.remainder(a, b),
            b=real("f32[4, 1]", 0.3, 2.0)),
    _binary("remainder of integers", "a % b", lambda t, a, b: t.remainder(a, b),
            whole("i32[23]", -9, 9), whole("i32[23]", 1, 5)),
    _binary("atan2", "atan2(a, b)", lambda t, a, b: t.atan2(a, b)),
    _binary("atan2 at 0", "atan2(a, b)", lambda t, a, b: t.atan2(a, b),
            one_of("f32[23]", 0.0), SOME),
    _binary("bit_and", "bit_and(a, b)", lambda t, a, b: a & b, BITS, BITS),
    _binary("bit_or", "bit_or(a, b)", lambda t, a, b: a | b, BITS, BITS),
    _binary("bit_xor", "bit_xor(a, 6)", lambda t, a, b: a ^ 6, BITS, BITS),
    _binary("xor", "xor(a, b)", lambda t, a, b: a ^ b, truth("[4, 1]"), truth("[5]")),
    _comparison("==", lambda a, b: a == b),
    _comparison("!=", lambda a, b: a != b),
    _comparison("<", lambda a, b: a < b),
    _comparison("<=", lambda a, b: a <= b),
    _comparison(">", lambda a, b: a > b),
    _comparison(">=", lambda a, b: a >= b),
    _binary("logical_and", "a and b", lambda t, a, b: a & b, truth("[4, 1]"), truth("[5]")),
    _binary("logical_or", "a or b", lambda t, a, b: a | b, truth("[4, 1]"), truth("[5]")),
    Case("where", "where(c, a, b)", {"c": truth("[4, 5]"), "a": A, "b": B},
         lambda t, c, a, b: t.where(c, a, b)),
    Case("clip", "clip(x, -0.5, 1.0)", {"x": real("f32[3, 9]")},
         lambda t, x: x.clamp(-0.5, 1.0)),
    Case("square", "square(x)", {"x": real("f32[3, 9]")}, lambda t, x: x * x),
    Case("cast to f64 and back", "cast(cast(x, f64) / 3, f32)", {"x": real("f32[3, 9]")},
         lambda t, x: x / 3),
    Case("cast to integers", "cast(x, i32)", {"x": real("f32[3, 9]", -9, 9)},
         lambda t, x: x.to(t.int32)),
    Case("cast of truth values", "cast(x, f32)", {"x": truth("[9]")},
         lambda t, x: x.to(t.float64)),
    Case("stop_gradient", "x * stop_gradient(x)", {"x": real("f32[3, 9]")},
         lambda t, x: x * x.detach()),
)
