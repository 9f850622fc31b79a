"""Elementwise functions of one operand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flowc_runtime.ops.blocks import BLOCK_BYTES
from flowc_runtime.ops.cost import (
    DIVISION_FLOPS,
    ERF_FLOPS,
    TRANSCENDENTAL_FLOPS,
    per_result_element,
)
from flowc_runtime.ops.cotangents import no_flow, scalar
from flowc_runtime.ops.elementwise import same_type, truth, ufunc_kernel
from flowc_runtime.ops.erf import ERF_BLOCKS, erf_kernel
from flowc_runtime.ops.op import Array, Attrs, Emit, Forward, Gradient, Kernel, Op, Sample, Types
from flowc_runtime.ops.rules import NUMBERS
from flowc_runtime.types import FLOATS

TWO_OVER_SQRT_PI = 1.1283791670955126

# What a unary function's cotangent is, from (emit, operand x, result y, cotangent g).
Chain = Callable[[Emit, Any, Any, Any], Any]


def _samples(low: float, high: float) -> tuple[Sample, ...]:
    shapes = ("[3, 5]", "[]", "[2, 1, 7]", "[0, 3]", "[200000]")
    return tuple(Sample((f"f32{shape}",), low=low, high=high) for shape in shapes)


def _gradient(chain: Chain) -> Gradient:
    def gradient(emit: Emit, forward: Forward, cotangents: tuple[Any, ...]) -> tuple[Any, ...]:
        return (chain(emit, forward.operands[0], forward.results[0], cotangents[0]),)

    return gradient


def _unary(
    name: str,
    doc: str,
    kernel: Kernel,
    gradient: Gradient,
    flops: int = 1,
    dtypes: Sequence[str] = FLOATS,
    domain: tuple[float, float] = (-2.0, 2.0),
) -> Op:
    return Op(
        name,
        doc,
        operands=("x",),
        infer=same_type(dtypes),
        kernel=kernel,
        gradient=gradient,
        elementwise=True,
        in_place=(0,),
        cost=per_result_element(flops),
        samples=_samples(*domain),
    )


def _rsqrt(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    np.sqrt(ins[0], out=outs[0])
    np.reciprocal(outs[0], out=outs[0])


def _expm1_chain(emit: Emit, x: Any, y: Any, g: Any) -> Any:
    return emit("mul", g, emit("add", y, scalar(emit, 1.0, y)))


def _log1p_chain(emit: Emit, x: Any, y: Any, g: Any) -> Any:
    return emit("div", g, emit("add", x, scalar(emit, 1.0, x)))


def _sqrt_chain(emit: Emit, x: Any, y: Any, g: Any) -> Any:
    return emit("div", emit("mul", g, scalar(emit, 0.5, g)), y)


def _rsqrt_chain(emit: Emit, x: Any, y: Any, g: Any) -> Any:
    cube = emit("mul", y, emit("mul", y, y))
    return emit("mul", emit("mul", g, scalar(emit, -0.5, g)), cube)


def _cos_chain(emit: Emit, x: Any, y: Any, g: Any) -> Any:
    return emit("neg", emit("mul", g, emit("sin", x)))


def _tanh_chain(emit: Emit, x: Any, y: Any, g: Any) -> Any:
    return emit("mul", g, emit("sub", scalar(emit, 1.0, y), emit("mul", y, y)))


def _erf_chain(emit: Emit, x: Any, y: Any, g: Any) -> Any:
    bell = emit("exp", emit("neg", emit("mul", x, x)))
    return emit("mul", g, emit("mul", bell, scalar(emit, TWO_OVER_SQRT_PI, x)))


def _erf_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return ERF_BLOCKS * BLOCK_BYTES


NEG = _unary(
    "neg",
    "The negative: `-x`.",
    ufunc_kernel(np.negative),
    _gradient(lambda emit, x, y, g: emit("neg", g)),
    dtypes=NUMBERS,
)
ABS = _unary(
    "abs",
    "The absolute value `|x|`. Its gradient at 0 is 0.",
    ufunc_kernel(np.absolute),
    _gradient(lambda emit, x, y, g: emit("mul", g, emit("sign", x))),
    dtypes=NUMBERS,
)
SIGN = _unary(
    "sign",
    "-1, 0 or 1, as `x` is negative, zero or positive. Its gradient is 0.",
    ufunc_kernel(np.sign),
    no_flow,
    dtypes=NUMBERS,
)
EXP = _unary(
    "exp",
    "The exponential function `e**x`.",
    ufunc_kernel(np.exp),
    _gradient(lambda emit, x, y, g: emit("mul", g, y)),
    TRANSCENDENTAL_FLOPS,
)
EXPM1 = _unary(
    "expm1",
    "`e**x - 1`, exact also where `x` is near 0.",
    ufunc_kernel(np.expm1),
    _gradient(_expm1_chain),
    TRANSCENDENTAL_FLOPS,
)
LOG = _unary(
    "log",
    "The natural logarithm; `-inf` at 0 and NaN below.",
    ufunc_kernel(np.log),
    _gradient(lambda emit, x, y, g: emit("div", g, x)),
    TRANSCENDENTAL_FLOPS,
    domain=(0.2, 3.0),
)
LOG1P = _unary(
    "log1p",
    "`log(1 + x)`, exact also where `x` is near 0.",
    ufunc_kernel(np.log1p),
    _gradient(_log1p_chain),
    TRANSCENDENTAL_FLOPS,
    domain=(-0.5, 2.0),
)
SQRT = _unary(
    "sqrt",
    "The square root; NaN below 0. Its gradient at 0 is infinite.",
    ufunc_kernel(np.sqrt),
    _gradient(_sqrt_chain),
    DIVISION_FLOPS,
    domain=(0.2, 3.0),
)
RSQRT = _unary(
    "rsqrt",
    "One over the square root: `1 / sqrt(x)`; infinite at 0, NaN below.",
    _rsqrt,
    _gradient(_rsqrt_chain),
    2 * DIVISION_FLOPS,
    domain=(0.2, 3.0),
)
SIN = _unary(
    "sin",
    "The sine of `x` radians.",
    ufunc_kernel(np.sin),
    _gradient(lambda emit, x, y, g: emit("mul", g, emit("cos", x))),
    TRANSCENDENTAL_FLOPS,
)
COS = _unary(
    "cos",
    "The cosine of `x` radians.",
    ufunc_kernel(np.cos),
    _gradient(_cos_chain),
    TRANSCENDENTAL_FLOPS,
)
TANH = _unary(
    "tanh",
    "The hyperbolic tangent: `(e**x - e**-x) / (e**x + e**-x)`.",
    ufunc_kernel(np.tanh),
    _gradient(_tanh_chain),
    TRANSCENDENTAL_FLOPS,
)
ERF = Op(
    "erf",
    "The error function `2/sqrt(pi)` times the integral of `e**(-t*t)` from 0 to `x`; absolute "
    "error below 3e-7 in f32 and 1e-15 in f64.",
    operands=("x",),
    infer=same_type(FLOATS),
    kernel=erf_kernel,
    gradient=_gradient(_erf_chain),
    elementwise=True,
    in_place=(0,),
    cost=per_result_element(ERF_FLOPS),
    scratch_bytes=_erf_scratch,
    samples=_samples(-3.0, 3.0),
)
FLOOR = _unary(
    "floor",
    "The largest whole number that is not above `x`. Its gradient is 0.",
    ufunc_kernel(np.floor),
    no_flow,
)
CEIL = _unary(
    "ceil",
    "The smallest whole number that is not below `x`. Its gradient is 0.",
    ufunc_kernel(np.ceil),
    no_flow,
)
ROUND = _unary(
    "round",
    "The nearest whole number, halves to the even one. Its gradient is 0.",
    ufunc_kernel(np.rint),
    no_flow,
)
IS_FINITE = Op(
    "is_finite",
    "True where `x` is neither infinite nor NaN.",
    operands=("x",),
    infer=truth(FLOATS),
    kernel=ufunc_kernel(np.isfinite),
    elementwise=True,
    samples=_samples(-2.0, 2.0),
)
LOGICAL_NOT = Op(
    "logical_not",
    "True where `x` is false.",
    operands=("x",),
    infer=truth(("bool",)),
    kernel=ufunc_kernel(np.logical_not),
    elementwise=True,
    in_place=(0,),
    samples=(Sample(("bool[3, 5]",)), Sample(("bool[]",))),
)

OPS = (
    NEG, ABS, SIGN, EXP, EXPM1, LOG, LOG1P, SQRT, RSQRT, SIN, COS, TANH, ERF, FLOOR, CEIL, ROUND,
    IS_FINITE, LOGICAL_NOT,
)  # fmt: skip
