"""Dimensions: exact integers, or polynomials over named sizes such as `batch`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

# A monomial is a sorted tuple of names (with repetition); a term is (monomial, coefficient).
Monomial = tuple[str, ...]
Term = tuple[Monomial, int]


class NotExact(ValueError):
    """A division of dimensions that leaves a remainder, or that is not known to be exact."""


@dataclass(frozen=True, slots=True)
class Poly:
    """A polynomial with integer coefficients that is not a constant; terms in normal form.

    Build one with `symbol`; arithmetic returns an `int` wherever the result is constant, so
    `Dim` values compare by `==` exactly when they are the same for every binding of the names.
    """

    terms: tuple[Term, ...]

    def __add__(self, other: Dim) -> Dim:
        return _normal([*self.terms, *_terms(other)])

    def __radd__(self, other: int) -> Dim:
        return self + other

    def __neg__(self) -> Dim:
        return self * -1

    def __sub__(self, other: Dim) -> Dim:
        return self + other * -1

    def __rsub__(self, other: int) -> Dim:
        return self * -1 + other

    def __mul__(self, other: Dim) -> Dim:
        return _normal(
            [
                (tuple(sorted(m + n)), a * b)
                for m, a in self.terms
                for n, b in _terms(other)
            ]
        )

    def __rmul__(self, other: int) -> Dim:
        return self * other

    def __str__(self) -> str:
        return " + ".join(_term_text(m, c) for m, c in self.terms).replace("+ -", "- ")

    __repr__ = __str__


Dim: TypeAlias = "int | Poly"


class NamedSize(int):
    """A known size that remembers what its author called it: `time` of `time = 64`.

    It is the integer in every respect; arithmetic gives plain integers. The name lets
    `scan x over time` find its axis.
    """

    name: str

    def __new__(cls, value: int, name: str) -> NamedSize:
        size = super().__new__(cls, value)
        size.name = name
        return size


def named(dim: Dim, name: str) -> Dim:
    """`dim` under a name; a polynomial keeps the names it has."""
    return NamedSize(dim, name) if isinstance(dim, int) else dim


def is_called(dim: Dim, name: str) -> bool:
    """Whether the author gave this dimension that name."""
    return dim.name == name if isinstance(dim, NamedSize) else dim == symbol(name)


def symbol(name: str) -> Poly:
    """The dimension called `name`, whose size is bound later."""
    return Poly((((name,), 1),))


def divide(a: Dim, b: Dim) -> Dim:
    """`a / b` where that is exact for every binding; raises NotExact otherwise."""
    if b == 0:
        raise NotExact(f"{a} / 0")
    if a == 0:
        return 0
    divisor = _terms(b)
    if len(divisor) == 1:
        return _divide_by_term(a, divisor[0])
    if a == b:
        return 1
    raise NotExact(f"{a} is not known to be divisible by {b}")


def bind(dim: Dim, sizes: Mapping[str, int]) -> Dim:
    """`dim` with the named sizes put in; names that are not in `sizes` stay.

    A NamedSize becomes the plain integer: what is bound is past the text and its names.
    """
    if isinstance(dim, int):
        return int(dim)
    total: Dim = 0
    for monomial, coefficient in dim.terms:
        product: Dim = coefficient
        for name in monomial:
            product = product * sizes[name] if name in sizes else product * symbol(name)
        total = total + product
    return total


def names(dim: Dim) -> frozenset[str]:
    """The names that `dim` depends on; empty for an integer."""
    if isinstance(dim, int):
        return frozenset()
    return frozenset(name for monomial, _ in dim.terms for name in monomial)


def product(dims: tuple[Dim, ...]) -> Dim:
    """The number of elements of a tensor of shape `dims`."""
    total: Dim = 1
    for dim in dims:
        total = total * dim
    return total


def parse_dim(text: str) -> Dim:
    """The inverse of `str` for a dimension in normal form (`3*batch + 1`)."""
    total: Dim = 0
    for part in text.replace(" - ", " + -").split(" + "):
        term: Dim = 1
        for factor in part.strip().split("*"):
            sign, name = (-1, factor[1:]) if factor.startswith("-") else (1, factor)
            term = term * sign * (int(name) if name.isdigit() else symbol(name))
        total = total + term
    return total


def _terms(dim: Dim) -> tuple[Term, ...]:
    if isinstance(dim, float):
        raise TypeError("a dimension is exact: it takes whole numbers only")
    return dim.terms if isinstance(dim, Poly) else (((), dim),)


def _normal(terms: list[Term]) -> Dim:
    collected: dict[Monomial, int] = {}
    for monomial, coefficient in terms:
        collected[monomial] = collected.get(monomial, 0) + coefficient
    kept = tuple(
        (m, c) for m, c in sorted(collected.items(), key=lambda t: (-len(t[0]), t[0])) if c
    )
    if not kept:
        return 0
    if kept[0][0] == ():
        return kept[0][1]
    return Poly(kept)


def _divide_by_term(a: Dim, divisor: Term) -> Dim:
    monomial, coefficient = divisor
    result: list[Term] = []
    for m, c in _terms(a):
        rest = list(m)
        for name in monomial:
            if name not in rest:
                raise NotExact(f"{a} is not known to be divisible by {name}")
            rest.remove(name)
        if c % coefficient:
            raise NotExact(f"{a} is not divisible by {coefficient}")
        result.append((tuple(rest), c // coefficient))
    return _normal(result)


def _term_text(monomial: Monomial, coefficient: int) -> str:
    if not monomial:
        return str(coefficient)
    names_text = "*".join(monomial)
    if coefficient == 1:
        return names_text
    return f"-{names_text}" if coefficient == -1 else f"{coefficient}*{names_text}"
