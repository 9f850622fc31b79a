"""Elementwise comparisons and logic; the results are of dtype bool."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flowc_runtime.ops.elementwise import truth, ufunc_kernel
from flowc_runtime.ops.op import Op, Sample
from flowc_runtime.ops.rules import COMPUTED, NUMBERS

_SHAPES = (("[3, 5]", "[3, 5]"), ("[2, 1, 7]", "[3, 1]"), ("[]", "[500, 400]"))


def _samples(*dtypes: str, low: float = -3, high: float = 3) -> tuple[Sample, ...]:
    return tuple(
        Sample((f"{dtype}{a}", f"{dtype}{b}"), low=low, high=high)
        for dtype in dtypes
        for a, b in _SHAPES
    )


def _comparison(name: str, doc: str, ufunc: Any, dtypes: Sequence[str]) -> Op:
    return Op(
        name,
        doc,
        operands=("a", "b"),
        infer=truth(dtypes),
        kernel=ufunc_kernel(ufunc),
        elementwise=True,
        samples=_samples("f32", "i32"),
    )


def _logic(name: str, doc: str, ufunc: Any) -> Op:
    return Op(
        name,
        doc,
        operands=("a", "b"),
        infer=truth(("bool",)),
        kernel=ufunc_kernel(ufunc),
        elementwise=True,
        in_place=(0, 1),
        samples=_samples("bool"),
    )


EQUAL = _comparison("equal", "True where `a == b`; NaN equals nothing.", np.equal, COMPUTED)
NOT_EQUAL = _comparison("not_equal", "True where `a != b`.", np.not_equal, COMPUTED)
LESS = _comparison("less", "True where `a < b`.", np.less, NUMBERS)
LESS_EQUAL = _comparison("less_equal", "True where `a <= b`.", np.less_equal, NUMBERS)
GREATER = _comparison("greater", "True where `a > b`.", np.greater, NUMBERS)
GREATER_EQUAL = _comparison("greater_equal", "True where `a >= b`.", np.greater_equal, NUMBERS)
LOGICAL_AND = _logic("logical_and", "True where `a` and `b` both are.", np.logical_and)
LOGICAL_OR = _logic("logical_or", "True where `a` or `b` is, or both are.", np.logical_or)

OPS = (EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, LOGICAL_AND, LOGICAL_OR)
