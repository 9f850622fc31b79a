"""Matrix products of all ranks."""

from __future__ import annotations

from numerics.case import Case, real


def _product(a: str, b: str) -> Case:
    operands = {"a": real(f"f32{a}"), "b": real(f"f32{b}")}
    return Case(f"{a} @ {b}", "a @ b", operands, lambda t, a, b: a @ b)


CASES = (
    _product("[3, 4]", "[4, 5]"),
    _product("[4]", "[4]"),
    _product("[3, 4]", "[4]"),
    _product("[4]", "[4, 5]"),
    _product("[2, 3, 4]", "[4]"),
    _product("[4]", "[2, 4, 5]"),
    _product("[2, 3, 4]", "[4, 5]"),
    _product("[3, 4]", "[2, 4, 5]"),
    _product("[2, 1, 3, 4]", "[3, 4, 5]"),
    _product("[2, 3, 3, 4]", "[2, 1, 4, 5]"),
    Case("transposed products", "transpose(a) @ transpose(b)",
         {"a": real("f32[2, 4, 3]"), "b": real("f32[5, 4]")}, lambda t, a, b: a.mT @ b.T),
)
