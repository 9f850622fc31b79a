"""The equation of `einsum`: `...ij,jk->...ik`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowc.lower.errors.words import counted

SPREAD = "ΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩαβγδεζηθ"  # names of the axes that `...` stands for, from the end


class BadEquation(Exception):
    """The equation is none, or does not fit its operands; the message says why."""


@dataclass(frozen=True)
class Equation:
    """A letter for each axis of each operand and of the result; `...` is spelt out."""

    terms: tuple[str, ...]
    result: str

    @staticmethod
    def shown(letter: str) -> str:
        """A letter in the author's words."""
        return f"axis {-1 - SPREAD.index(letter)} of `...`" if letter in SPREAD else f"`{letter}`"


def parse_equation(text: str, ranks: Sequence[int]) -> Equation:
    """The equation for operands of these ranks; raises BadEquation."""
    left, arrow, right = text.replace(" ", "").partition("->")
    parts = left.split(",")
    if len(parts) != len(ranks):
        raise BadEquation(
            f"it has {counted(len(parts), 'term')} for {counted(len(ranks), 'tensor')}")
    pairs = zip(parts, ranks, strict=True)
    terms = tuple(_spelt(part, f"term {i}", rank) for i, (part, rank) in enumerate(pairs, 1))
    longest = max((letter for term in terms for letter in term if letter in SPREAD),
                  key=SPREAD.index, default=None)  # fmt: skip
    spread = SPREAD[: SPREAD.index(longest) + 1][::-1] if longest else ""
    result = _result(right, spread) if arrow else spread + _once(terms)
    for letter in result:
        if not any(letter in term for term in terms):
            raise BadEquation(f"the result names `{letter}`, which no term has")
    return Equation(terms, result)


def _letters(part: str, where: str) -> tuple[str, bool, str]:
    """What stands before and behind `...`, and whether there is one."""
    before, dots, after = part.partition("...")
    for letter in before + after:
        if not (letter.isascii() and letter.isalpha()):
            raise BadEquation(f"`{letter}` in {where} is no letter")
    return before, bool(dots), after


def _spelt(part: str, where: str, rank: int) -> str:
    before, dots, after = _letters(part, where)
    free = rank - len(before + after)
    if free < 0 or (free and not dots):
        letters = counted(len(before + after), "letter")
        axes = "axis" if rank == 1 else "axes"
        raise BadEquation(f"{where}, `{part}`, has {letters} for {rank} {axes}")
    return before + SPREAD[:free][::-1] + after


def _result(part: str, spread: str) -> str:
    before, dots, after = _letters(part, "the result")
    result = before + (spread if dots else "") + after
    twice = next((letter for letter in result if result.count(letter) > 1), None)
    if twice is not None:
        raise BadEquation(f"the result names `{twice}` twice")
    return result


def _once(terms: Sequence[str]) -> str:
    """The letters that occur just once, in alphabetical order: the result if none is written."""
    everything = "".join(terms)
    return "".join(sorted(
        letter for letter in set(everything) if letter not in SPREAD
        and everything.count(letter) == 1))  # fmt: skip
