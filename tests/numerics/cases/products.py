"""Matrix products of all ranks."""

from __future__ import annotations

from numerics.case import Case, real, whole


def _product(a: str, b: str) -> Case:
    operands = {"a": real(f"f32{a}"), "b": real(f"f32{b}")}
    return Case(f"{a} @ {b}", "a @ b", operands, lambda t, a, b: a @ b)


def _einsum(equation: str, *shapes: str) -> Case:
    operands = {name: real(f"f32{shape}") for name, shape in zip("abc", shapes, strict=False)}
    flow = f'einsum("{equation}", {", ".join(operands)})'
    return Case(f"einsum {equation} of {', '.join(shapes)}", flow, operands,
                lambda t, **tensors: t.einsum(equation, *tensors.values()))


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
    Case("integers @ integers", "a @ b",
         {"a": whole("i64[3, 4]", -9, 9), "b": whole("i64[2, 4, 5]", -9, 9)},
         lambda t, a, b: a @ b),
    Case("wide @ wide", "a @ b", {"a": real("f64[3, 4]"), "b": real("f64[4, 5]")},
         lambda t, a, b: a @ b),
    Case("einsum of integers", 'einsum("ij,ik->jk", a, a)', {"a": whole("i32[3, 4]", -9, 9)},
         lambda t, a: t.einsum("ij,ik->jk", a, a)),
    _einsum("ij,jk->ik", "[3, 4]", "[4, 5]"),
    _einsum("ij,jk", "[3, 4]", "[4, 5]"),
    _einsum("ba", "[3, 4]"),
    _einsum("ij->", "[3, 4]"),
    _einsum("ij->j", "[3, 4]"),
    _einsum("ii->i", "[4, 4]"),
    _einsum("iji->j", "[4, 3, 4]"),
    _einsum("ii", "[4, 4]"),
    _einsum("i,j->ij", "[3]", "[4]"),
    _einsum("i,i->", "[4]", "[4]"),
    _einsum("bij,bjk->bik", "[2, 3, 4]", "[2, 4, 5]"),
    _einsum("bhqd,bhkd->bhqk", "[2, 3, 4, 5]", "[2, 3, 6, 5]"),
    _einsum("bqhd,bkhd->bhqk", "[2, 4, 3, 5]", "[2, 6, 3, 5]"),
    _einsum("...ij,...jk->...ik", "[2, 3, 4]", "[5, 1, 4, 2]"),
    _einsum("...i,i", "[2, 3, 4]", "[4]"),
    _einsum("i...->...", "[2, 3, 4]"),
    _einsum("ij,kj,jl->ikl", "[3, 4]", "[2, 4]", "[4, 5]"),
    _einsum("ab,bc,cd->da", "[3, 4]", "[4, 5]", "[5, 2]"),
    _einsum("abc,cd,ae->bde", "[2, 3, 4]", "[4, 5]", "[2, 3]"),
    _einsum("ij,kl->il", "[3, 4]", "[2, 5]"),
    _einsum("ij,ij->ij", "[3, 4]", "[3, 1]"),
)
