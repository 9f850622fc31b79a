"""Limits on what a text may unroll to, so that each one ends soon and in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any

from flowc_runtime.dims import Dim, Poly
from flowc_runtime.types import TensorType

MAX_WORK = 60_000  # expressions evaluated in one lowering: about a second
MAX_DEPTH = 150  # expressions and bodies inside each other, through blocks too
MAX_CALLS = 40  # blocks inside each other
MAX_PATH = 1_000  # characters in the path of a parameter
MAX_COMPLAINTS = 200  # the same ones over again are counted, too
MAX_ELEMENTS = 2**40  # of one tensor
MAX_RANK = 32
MAX_INTEGER = 2**63
MAX_DEGREE = 16  # of the dimensions in `batch`
MAX_ITEMS = 10_000  # in a list and the lists inside of it
RANGES: dict[str, tuple[float, float]] = {
    "i64": (-(2**63), 2**63 - 1), "i32": (-(2**31), 2**31 - 1), "i8": (-128, 127), "u8": (0, 255),
    "f32": (-3.4028235e38, 3.4028235e38), "f16": (-65504, 65504), "bf16": (-3.38e38, 3.38e38),
}  # fmt: skip


@dataclass
class Budget:
    """What lowering has used up of its limits."""

    work: int = 0
    depth: int = 0
    complaints: int = 0


def fits(type: TensorType) -> bool:
    """Whether a tensor is of a size and rank that anything could be done with."""
    if type.rank > MAX_RANK:
        return False  # the product of so many dimensions may never end
    size = type.size
    return size <= MAX_ELEMENTS if isinstance(size, int) else small_number(size)


def small_number(value: Dim | float) -> bool:
    """Whether a compile-time number is one that the compiler goes on computing with."""
    if isinstance(value, Poly):
        return all(len(m) <= MAX_DEGREE and abs(c) <= MAX_INTEGER for m, c in value.terms)
    return isinstance(value, float) or abs(value) <= MAX_INTEGER


def holds(dtype: str, value: Dim | float) -> bool:
    """Whether a number lies within the range of a dtype; sizes that are not known yet do."""
    if isinstance(value, Poly):
        return True
    low, high = RANGES.get(dtype, (-inf, inf))
    return low <= value <= high or (isinstance(value, float) and not isfinite(value))


def small_list(items: Sequence[Any]) -> bool:
    """Whether a list is short, with all that the lists inside of it hold."""
    count, pending = 0, [items]
    while pending:
        inner = pending.pop()
        count += len(inner)
        if count > MAX_ITEMS:
            return False
        pending += [item for item in inner if isinstance(item, (list, tuple))]
    return True
