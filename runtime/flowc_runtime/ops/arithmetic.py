"""Elementwise arithmetic of two operands of one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc_runtime.ops.cost import (
    DIVISION_FLOPS,
    POW_FLOPS,
    TRANSCENDENTAL_FLOPS,
    per_result_element,
)
from flowc_runtime.ops.cotangents import no_flow, scalar, sum_to
from flowc_runtime.ops.elementwise import Rule, is_constant, same_type, single, ufunc_kernel
from flowc_runtime.ops.op import (
    Array,
    Attrs,
    BadValue,
    Emit,
    Forward,
    Gradient,
    Kernel,
    Op,
    Sample,
)
from flowc_runtime.ops.rules import NUMBERS
from flowc_runtime.types import FLOATS


def _samples(low: float, high: float) -> tuple[Sample, ...]:
    pairs = (("[3, 5]", "[3, 5]"), ("[3, 5]", "[5]"), ("[2, 1, 7]", "[3, 1]"), ("[]", "[500, 400]"))
    return tuple(Sample((f"f32{a}", f"f32{b}"), low=low, high=high) for a, b in pairs)


def _binary(
    name: str,
    doc: str,
    kernel: Kernel,
    gradient: Gradient,
    flops: int = 1,
    dtypes: Sequence[str] = NUMBERS,
    domain: tuple[float, float] = (-2.0, 2.0),
    samples: tuple[Sample, ...] = (),
) -> Op:
    return Op(
        name,
        doc,
        operands=("a", "b"),
        infer=same_type(dtypes),
        kernel=kernel,
        gradient=gradient,
        elementwise=True,
        in_place=(0, 1),
        cost=per_result_element(flops),
        samples=(*_samples(*domain), *samples),
    )


def _whole(name: str, ufunc: Any) -> Kernel:
    """A division with whole quotients: floats follow IEEE, integers refuse a zero divisor."""

    def kernel(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
        if outs[0].dtype.kind in "iu" and not ins[1].all():
            raise BadValue(f"{name} of integers by 0")
        ufunc(ins[0], ins[1], out=outs[0])

    return kernel


def _pow(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    base, exponent = ins
    if exponent.dtype.kind == "i" and exponent.size and exponent.min() < 0:
        raise BadValue(f"an integer has no power {exponent.min()} among the integers")
    if is_constant(exponent) and exponent.item(0) == 2:
        np.multiply(base, base, out=outs[0])  # ten times as fast as np.power
    else:
        np.power(base, exponent, out=outs[0])


def _add_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    a, b = forward.operands
    return sum_to(emit, g, a.type), sum_to(emit, g, b.type)


def _sub_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    a, b = forward.operands
    return sum_to(emit, g, a.type), emit("neg", sum_to(emit, g, b.type))


def _mul_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    a, b = forward.operands
    return sum_to(emit, emit("mul", g, b), a.type), sum_to(emit, emit("mul", g, a), b.type)


def _div_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    a, b = forward.operands
    share = emit("div", g, b)
    by_b = emit("neg", sum_to(emit, emit("mul", share, forward.results[0]), b.type))
    return sum_to(emit, share, a.type), by_b


def _pow_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    """By the base `b a**(b-1)`; by the exponent `a**b log a`, and 0 where `a` is not positive."""
    a, b = forward.operands
    zero, one = scalar(emit, 0.0, a), scalar(emit, 1.0, a)
    power = emit("mul", b, emit("pow", a, emit("sub", b, one)))
    by_a = emit("where", emit("equal", b, zero), zero, power)
    positive = emit("greater", a, zero)
    log = emit("log", emit("where", positive, a, one))
    by_b = emit("mul", forward.results[0], log)
    return (
        sum_to(emit, emit("mul", g, by_a), a.type),
        sum_to(emit, emit("where", positive, emit("mul", g, by_b), zero), b.type),
    )


def _choice_rule(compare: str) -> Rule:
    """The cotangent goes to the operand that was chosen, at a tie to the second."""

    def rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
        a, b = forward.operands
        zero, first = scalar(emit, 0.0, g), emit(compare, a, b)
        by_a = emit("where", first, g, zero)
        by_b = emit("where", first, zero, g)
        return sum_to(emit, by_a, a.type), sum_to(emit, by_b, b.type)

    return rule


def _remainder_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    a, b = forward.operands
    by_b = emit("mul", g, emit("floor_div", a, b))
    return sum_to(emit, g, a.type), emit("neg", sum_to(emit, by_b, b.type))


def _atan2_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    """By the side `a` it is `b / (a*a + b*b)`, by `b` it is `-a / (a*a + b*b)`; 0 at the origin."""
    a, b = forward.operands
    zero, one = scalar(emit, 0.0, a), scalar(emit, 1.0, a)
    square = emit("add", emit("mul", a, a), emit("mul", b, b))
    share = emit("div", g, emit("where", emit("equal", square, zero), one, square))
    by_b = emit("neg", sum_to(emit, emit("mul", share, a), b.type))
    return sum_to(emit, emit("mul", share, b), a.type), by_b


ADD = _binary("add", "The sum `a + b`.", ufunc_kernel(np.add), single(_add_rule))
SUB = _binary("sub", "The difference `a - b`.", ufunc_kernel(np.subtract), single(_sub_rule))
MUL = _binary("mul", "The product `a * b`.", ufunc_kernel(np.multiply), single(_mul_rule))
DIV = _binary(
    "div",
    "The quotient `a / b` of floats, by IEEE: infinite or NaN where `b` is 0. For integers, use "
    "`floor_div`.",
    ufunc_kernel(np.divide),
    single(_div_rule),
    DIVISION_FLOPS,
    FLOATS,
    domain=(0.5, 2.0),
    samples=(Sample(("f32[4]", "f32[3, 4]"), low=-2.0, high=-0.5),),
)
POW = _binary(
    "pow",
    "The power `a**b`. The gradient by `b` is `a**b * log(a)`, and 0 where `a` is not positive; "
    "the gradient by `a` is `b * a**(b-1)`, and 0 where `b` is 0. Integers have no negative "
    "powers.",
    _pow,
    single(_pow_rule),
    POW_FLOPS,
    domain=(0.5, 2.0),
    samples=(
        Sample(("f32[3, 4]", "f32[]"), low=0.5, high=2.0, values={1: 2.0}),
        Sample(("i32[3, 4]", "i32[4]"), low=0, high=4),
    ),
)
MAXIMUM = _binary(
    "maximum",
    "The larger of `a` and `b`, NaN if one is NaN. At a tie the gradient goes to `b`, so that "
    "`maximum(x, 0)` has the gradient 0 at 0, as a rectifier should.",
    ufunc_kernel(np.maximum),
    single(_choice_rule("greater")),
)
MINIMUM = _binary(
    "minimum",
    "The smaller of `a` and `b`, NaN if one is NaN. At a tie the gradient goes to `b`.",
    ufunc_kernel(np.minimum),
    single(_choice_rule("less")),
)
FLOOR_DIV = _binary(
    "floor_div",
    "The quotient rounded down: `floor(a / b)`. Its gradient is 0. An integer divisor must not "
    "be 0.",
    _whole("floor_div", np.floor_divide),
    no_flow,
    2 * DIVISION_FLOPS,
    domain=(0.5, 4.0),
    samples=(Sample(("i32[3, 4]", "i32[4]"), low=1, high=9),),
)
REMAINDER = _binary(
    "remainder",
    "What the division rounded down leaves: `a - floor(a / b) * b`, of the sign of `b`. An "
    "integer divisor must not be 0.",
    _whole("remainder", np.remainder),
    single(_remainder_rule),
    2 * DIVISION_FLOPS,
    domain=(0.5, 4.0),
    samples=(Sample(("i32[3, 4]", "i32[4]"), low=1, high=9),),
)
ATAN2 = _binary(
    "atan2",
    "The angle in radians, between -pi and pi, at which the point with the height `a` and the "
    "distance `b` is seen: `atan(a / b)` with the quadrant of the signs. All inverse functions of "
    "angles are made of it. The gradient at `a = b = 0`, which has no angle, is 0.",
    ufunc_kernel(np.arctan2),
    single(_atan2_rule),
    2 * TRANSCENDENTAL_FLOPS,
    FLOATS,
    domain=(0.5, 2.0),
    samples=(Sample(("f32[4]", "f32[3, 4]"), low=-2.0, high=-0.5),),
)

OPS = (ADD, SUB, MUL, DIV, POW, MAXIMUM, MINIMUM, FLOOR_DIV, REMAINDER, ATAN2)
