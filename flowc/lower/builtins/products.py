"""`einsum`: sums of products by an equation, as products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.arithmetic import reshaped
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.builtins.equation import BadEquation, Equation, parse_equation
from flowc.lower.builtins.shapes import sliced
from flowc.lower.values import POISON, Arg
from flowc.source import Span
from flowc_runtime.dims import Dim, product

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer


class _Stop(Exception):
    """Something was complained about."""


@dataclass(frozen=True)
class _Term:
    """A tensor each axis of which is called by a letter, no two alike."""

    arg: Arg
    letters: str


@dataclass
class _Work:
    """One `einsum` being lowered: the size of each letter is known."""

    lw: Lowerer
    span: Span
    sizes: dict[str, Dim]

    def shape(self, letters: str) -> tuple[Dim, ...]:
        return tuple(self.sizes[letter] for letter in letters)

    def emit(self, op: str, *terms: Arg, **attrs: Any) -> Arg:
        value = self.lw.emit(op, terms, self.span, **attrs)
        if value is POISON:
            raise _Stop
        return Arg(value, self.span)

    # --- one term -------------------------------------------------------------------------------

    def ordered(self, term: _Term, letters: str) -> Arg:
        """The term with its axes in the order of `letters`."""
        if term.letters == letters:
            return term.arg
        perm = tuple(term.letters.index(letter) for letter in letters)
        return self.emit("transpose", term.arg, perm=perm)

    def summed(self, term: _Term, kept: str) -> _Term:
        """Without the axes that neither the result nor another term needs."""
        axes = tuple(i for i, letter in enumerate(term.letters) if letter not in kept)
        if not axes:
            return term
        letters = "".join(letter for letter in term.letters if letter in kept)
        return _Term(self.emit("reduce_sum", term.arg, axes=axes, keep=False), letters)

    # --- two terms ------------------------------------------------------------------------------

    def multiplied(self, a: _Term, b: _Term, kept: str) -> _Term:
        """Summed over what both have and nobody needs further, as one product of matrices."""
        a, b = self.summed(a, kept + b.letters), self.summed(b, kept + a.letters)
        both = [letter for letter in a.letters if letter in b.letters]
        batch = "".join(letter for letter in both if letter in kept)
        inner = "".join(letter for letter in both if letter not in kept)
        rows = "".join(letter for letter in a.letters if letter not in both)
        columns = "".join(letter for letter in b.letters if letter not in both)
        letters = batch + rows + columns
        left = self.ordered(a, batch + rows + inner)
        right = self.ordered(b, batch + inner + columns)
        if not inner:
            spread = (*self.shape(batch + rows), *(1,) * len(columns))
            right_spread = (*self.shape(batch), *(1,) * len(rows), *self.shape(columns))
            pair = self.reshaped(left, spread), self.reshaped(right, right_spread)
            return _Term(self.emit("mul", *pair), letters)
        n, k, m = (product(self.shape(group)) for group in (rows, inner, columns))
        left = self.reshaped(left, (*self.shape(batch), n, k))
        right = self.reshaped(right, (*self.shape(batch), k, m))
        return _Term(self.reshaped(self.emit("matmul", left, right), self.shape(letters)), letters)

    def reshaped(self, arg: Arg, shape: tuple[Dim, ...]) -> Arg:
        return arg if arg.value.type.shape == shape else reshaped(self.lw, arg, shape)


def _einsum(lw: Lowerer, span: Span, text: Arg, first: Arg, *others: Arg) -> Any:
    if not isinstance(text.value, str):
        lw.report(errors.wants("einsum", 'an equation such as "ij,jk->ik"', text))
        return POISON
    args = [first, *others]
    if not all(ask.tensor(lw, "einsum", arg) for arg in args):
        return POISON
    try:
        equation = parse_equation(text.value, [arg.value.type.rank for arg in args])
    except BadEquation as bad:
        lw.report(errors.bad_equation(text, str(bad)))
        return POISON
    sizes = _sizes(lw, text, equation, args)
    if sizes is None:
        return POISON
    try:
        return _lowered(_Work(lw, span, sizes), equation, args)
    except _Stop:
        return POISON


def _sizes(
    lw: Lowerer, text: Arg, equation: Equation, args: Sequence[Arg]
) -> dict[str, Dim] | None:
    """The size of each letter; an axis of size 1 stretches, as it does for operators."""
    sizes: dict[str, Dim] = {}
    for letters, arg in zip(equation.terms, args, strict=True):
        for letter, size in zip(letters, arg.value.type.shape, strict=True):
            known = sizes.get(letter, 1)
            if known == 1:
                sizes[letter] = size
            elif size not in (1, known):
                lw.report(errors.letter_clash(text, equation.shown(letter), known, arg, size))
                return None
    return sizes


def _lowered(work: _Work, equation: Equation, args: Sequence[Arg]) -> Any:
    terms = [
        _term(work, letters, arg) for letters, arg in zip(equation.terms, args, strict=True)
    ]
    result = terms.pop(0)
    while terms:
        other = terms.pop(0)
        kept = equation.result + "".join(term.letters for term in terms)
        result = work.multiplied(result, other, kept)
    result = work.summed(result, equation.result)
    present = "".join(letter for letter in equation.result if letter in result.letters)
    value = work.ordered(result, present)
    if present == equation.result:
        return value.value
    shape = tuple(work.sizes[x] if x in present else 1 for x in equation.result)
    return work.reshaped(value, shape).value


def _term(work: _Work, letters: str, arg: Arg) -> _Term:
    """Without axes of size 1, which multiply nothing, and of each letter only its diagonal."""
    shape = arg.value.type.shape
    kept = [i for i, size in enumerate(shape) if size != 1]
    arg = work.reshaped(arg, tuple(shape[i] for i in kept))
    term = _Term(arg, "".join(letters[i] for i in kept))
    twice = next((x for x in term.letters if term.letters.count(x) > 1), None)
    while twice is not None:
        term = _diagonal(work, term, twice)
        twice = next((x for x in term.letters if term.letters.count(x) > 1), None)
    return term


def _diagonal(work: _Work, term: _Term, letter: str) -> _Term:
    """Two axes of one letter as one: of all pairs in a row, every (size + 1)-th."""
    size = work.sizes[letter]
    if not isinstance(size, int):
        work.lw.report(errors.slice_of_unknown(work.span, size))
        raise _Stop
    first = term.letters.index(letter)
    second = term.letters.index(letter, first + 1)
    rest = [i for i in range(len(term.letters)) if i not in (first, second)]
    front = work.emit("transpose", term.arg, perm=(first, second, *rest))
    letters = letter + "".join(term.letters[i] for i in rest)
    flat = work.reshaped(front, (size * size, *work.shape(letters[1:])))
    value = sliced(work.lw, work.span, flat, {0: (0, size * size, size + 1)})
    return _Term(Arg(value, work.span), letters)


FUNCTIONS = (
    builtin("einsum", 'products of tensors summed by an equation: `einsum("bij,bjk->bik", a, b)`; '
            "a letter is an axis, what the result does not name is summed, `...` stands for the "
            "axes that are left, and without `->` the result has the letters that occur once",
            _einsum, "equation", "x", variadic=True),
)
