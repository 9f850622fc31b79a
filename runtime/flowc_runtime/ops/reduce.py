"""Reductions over axes: sums, extremes, products, any and all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flowc_runtime.ops.cost import per_operand_element
from flowc_runtime.ops.cotangents import expand, keep_axes, scalar
from flowc_runtime.ops.elementwise import Rule, single
from flowc_runtime.ops.op import (
    Attr,
    Attrs,
    Calls,
    Emit,
    Forward,
    Infer,
    Op,
    Reject,
    Sample,
    Types,
    kernel_of,
)
from flowc_runtime.ops.reduce_kernels import (
    extreme,
    fold_scratch,
    reduction,
    sum_calls,
    sum_scratch,
)
from flowc_runtime.ops.rules import NUMBERS, need_axes, need_dtype
from flowc_runtime.types import TensorType

ATTRS = (
    Attr("axes", "the axes to reduce, counted from 0"),
    Attr("keep", "whether a reduced axis stays, with size 1", default=False, required=False),
)


def _infer(dtypes: Sequence[str], needs_elements: bool) -> Infer:
    def infer(types: Types, attrs: Attrs) -> Types:
        need_dtype(types, dtypes)
        (x,), axes = types, attrs["axes"]
        need_axes(axes, x)
        for axis in axes if needs_elements else ():
            if x.shape[axis] == 0:
                raise Reject(f"has no elements along axis {axis}, and so no extreme: {x}", 0)
        return (TensorType(x.dtype, reduced_shape(x, axes, attrs["keep"])),)

    return infer


def reduced_shape(x: TensorType, axes: Sequence[int], keep: bool) -> tuple[Any, ...]:
    kept = enumerate(x.shape)
    if keep:
        return tuple(1 if axis in axes else dim for axis, dim in kept)
    return tuple(dim for axis, dim in kept if axis not in axes)


def _sum_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    return (expand(emit, g, forward.attrs["axes"], forward.operands[0].type),)


def _extreme_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    """Each of the n elements that reach the extreme gets an n-th of the cotangent."""
    x, axes = forward.operands[0], forward.attrs["axes"]
    y = keep_axes(emit, forward.results[0], axes, x.type)
    reached = emit("cast", emit("equal", x, y), dtype=x.type.dtype)
    count = emit("reduce_sum", reached, axes=axes, keep=True)
    share = emit("div", keep_axes(emit, g, axes, x.type), count)
    return (emit("mul", reached, share),)


def _prod_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    """The product of the others: by division, and where a zero forbids that, over the rest."""
    x, axes = forward.operands[0], forward.attrs["axes"]
    zero, one = scalar(emit, 0.0, x), scalar(emit, 1.0, x)
    is_zero = emit("equal", x, zero)
    filled = emit("where", is_zero, one, x)
    product = emit("reduce_prod", filled, axes=axes, keep=True)
    zeros = emit("reduce_sum", emit("cast", is_zero, dtype=x.type.dtype), axes=axes, keep=True)
    at_zero = emit("where", emit("equal", zeros, one), product, zero)
    elsewhere = emit("where", emit("equal", zeros, zero), emit("div", product, filled), zero)
    others = emit("where", is_zero, at_zero, elsewhere)
    return (emit("mul", keep_axes(emit, g, axes, x.type), others),)


def _samples(dtype: str, low: float, high: float) -> tuple[Sample, ...]:
    uses: tuple[tuple[str, tuple[int, ...], bool], ...] = (
        ("[3, 5]", (1,), False),
        ("[3, 5]", (0,), True),
        ("[2, 3, 4]", (0, 2), False),
        ("[2, 3, 4]", (2, 0), True),
        ("[7]", (0,), False),
        ("[0, 3]", (1,), False),
        ("[500, 400]", (0,), False),
        ("[80, 100, 30]", (0, 1), True),
    )
    return tuple(
        Sample((f"{dtype}{shape}",), {"axes": axes, "keep": keep}, low, high)
        for shape, axes, keep in uses
    )


def _reduction(
    name: str,
    doc: str,
    calls: Calls,
    dtypes: Sequence[str],
    samples: tuple[Sample, ...],
    rule: Rule | None = None,
    needs_elements: bool = False,
    scratch_bytes: Callable[[Types, Types, Attrs], int] = fold_scratch,
) -> Op:
    return Op(
        name,
        doc,
        operands=("x",),
        infer=_infer(dtypes, needs_elements),
        kernel=kernel_of(calls),
        calls=calls,
        gradient=single(rule) if rule else None,
        attrs=ATTRS,
        cost=per_operand_element,
        scratch_bytes=scratch_bytes,
        samples=samples,
    )


REDUCE_SUM = _reduction(
    "reduce_sum",
    "The sum over axes; 0 if there are no elements. f16 is summed in f32.",
    sum_calls,
    NUMBERS,
    (*_samples("f32", -2.0, 2.0), *_samples("f16", -2.0, 2.0)),
    _sum_rule,
    scratch_bytes=sum_scratch,
)
REDUCE_MAX = _reduction(
    "reduce_max",
    "The largest element over axes, NaN if one is NaN. The gradient is split evenly among "
    "elements that tie.",
    extreme(np.maximum),
    NUMBERS,
    (
        *_samples("f32", -2.0, 2.0),
        Sample(("f32[4]",), {"axes": (0,), "keep": False}, values={0: (1.0, 3.0, 3.0, 2.0)}),
    ),
    _extreme_rule,
    needs_elements=True,
)
REDUCE_MIN = _reduction(
    "reduce_min",
    "The smallest element over axes, NaN if one is NaN. The gradient is split evenly among "
    "elements that tie.",
    extreme(np.minimum),
    NUMBERS,
    _samples("f32", -2.0, 2.0),
    _extreme_rule,
    needs_elements=True,
)
REDUCE_PROD = _reduction(
    "reduce_prod",
    "The product over axes; 1 if there are no elements. The gradient is the product of the other "
    "elements, also where some are 0.",
    reduction(np.multiply),
    NUMBERS,
    (
        *_samples("f32", 0.5, 1.5)[:-2],
        Sample(("f32[4]",), {"axes": (0,), "keep": False}, values={0: (2.0, 0.0, 3.0, 0.5)}),
        Sample(("f32[4]",), {"axes": (0,), "keep": True}, values={0: (2.0, 0.0, 0.0, 0.5)}),
    ),
    _prod_rule,
)
REDUCE_ANY = _reduction(
    "reduce_any",
    "True where any element over the axes is; false if there are none.",
    reduction(np.logical_or),
    ("bool",),
    _samples("bool", 0, 1),
)
REDUCE_ALL = _reduction(
    "reduce_all",
    "True where all elements over the axes are, also if there are none.",
    reduction(np.logical_and),
    ("bool",),
    _samples("bool", 0, 1),
)

OPS = (REDUCE_SUM, REDUCE_MAX, REDUCE_MIN, REDUCE_PROD, REDUCE_ANY, REDUCE_ALL)
