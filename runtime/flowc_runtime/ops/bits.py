"""Elementwise logic on the bits of integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc_runtime.ops.elementwise import same_type, ufunc_kernel
from flowc_runtime.ops.op import Op, Sample
from flowc_runtime.ops.rules import INTS


def _bits(name: str, doc: str, ufunc: Any) -> Op:
    return Op(
        name,
        f"{doc} Negative integers are two's complements.",
        operands=("a", "b"),
        infer=same_type(INTS),
        kernel=ufunc_kernel(ufunc),
        elementwise=True,
        in_place=(0, 1),
        samples=(
            Sample(("i32[3, 5]", "i32[3, 5]"), low=-99, high=99),
            Sample(("i64[2, 1, 7]", "i64[3, 1]"), low=-99, high=99),
            Sample(("u8[4]", "u8[]"), low=0, high=255),
            Sample(("i32[500, 400]", "i32[]"), low=-99, high=99),
        ),
    )


BIT_AND = _bits("bit_and", "Each bit that `a` and `b` both have.", np.bitwise_and)
BIT_OR = _bits("bit_or", "Each bit that `a` or `b` has, or both.", np.bitwise_or)
BIT_XOR = _bits("bit_xor", "Each bit that just one of `a` and `b` has.", np.bitwise_xor)

OPS = (BIT_AND, BIT_OR, BIT_XOR)
