"""Coordinates: how far apart the places of ordered rows stand, without any overlap.

Row by row, the places move as near as they can to their neighbours while their order and the
least distances hold. Each row is a weighted isotonic regression, solved exactly by pooling
adjacent violators (Ayer et al. 1955).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from flowc.views.layers import Lattice

BOX_GAP = 28.0  # between two boxes of a row
LINE_GAP = 14.0  # beside an arrow that passes through a row
MAX_ROUNDS = 30
ROUND_BUDGET = 600_000  # places and steps of arrows that all rounds together may look at
STRAIGHTNESS = 8.0  # how much more the middle of a long arrow pulls than its ends


def centres(lattice: Lattice, widths: Sequence[float]) -> list[float]:
    """The x of the middle of every place; `widths` has one for each box. The leftmost edge is 0."""
    x = [0.0] * lattice.size
    gaps = [_gaps(lattice, row, widths) for row in lattice.rows]
    for row, between in zip(lattice.rows, gaps, strict=True):
        for place, offset in zip(row, _offsets(between), strict=True):
            x[place] = offset
    cost = lattice.size + sum(map(len, lattice.below))
    rounds = min(MAX_ROUNDS, max(2, ROUND_BUDGET // max(cost, 1)))
    for number in range(rounds):
        last = number >= rounds - 2
        _settle(lattice, gaps, x, lattice.above, None if not last else lattice.below)
        _settle(lattice, gaps, x, lattice.below, None if not last else lattice.above)
    _straighten(lattice, gaps, x)
    left = min((x[place] - _half(lattice, place, widths) for place in range(lattice.size)),
               default=0.0)
    return [value - left for value in x]


def fit(wanted: Sequence[float], weights: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The positions nearest to the wanted ones with `gaps[i]` at least between i and i + 1.

    Minimises the sum of weight * (position - wanted)^2.
    """
    offsets = _offsets(gaps)
    pools: list[tuple[float, float, int]] = []  # weighted sum, weight, how many
    for value, weight, offset in zip(wanted, weights, offsets, strict=True):
        pool = ((value - offset) * weight, weight, 1)
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    fitted = [total / weight for total, weight, count in pools for _ in range(count)]
    return [value + offset for value, offset in zip(fitted, offsets, strict=True)]


def _settle(
    lattice: Lattice,
    gaps: list[list[float]],
    x: list[float],
    towards: list[list[int]],
    also: list[list[int]] | None,
) -> None:
    """Moves each row towards its neighbours in one direction (or both), row after row."""
    rows = range(len(lattice.rows)) if towards is lattice.above else range(len(lattice.rows))[::-1]
    for number in rows:
        row = lattice.rows[number]
        wanted, weights = [], []
        for place in row:
            near = [*towards[place], *(also[place] if also else ())]
            pull, weight = _pull(lattice, x, place, near)
            wanted.append(pull)
            weights.append(weight)
        for place, value in zip(row, fit(wanted, weights, gaps[number]), strict=True):
            x[place] = value


def _straighten(lattice: Lattice, gaps: list[list[float]], x: list[float]) -> None:
    """Lets long arrows run upright as far as the places beside them leave room."""
    bounds = _Bounds(lattice, gaps, x)
    done: set[int] = set()
    for chain in lattice.chains:
        middle = [place for place in chain[1:-1] if place not in done]
        done.update(middle)
        while middle:
            count, low, high = bounds.common(middle)
            wanted = sorted(x[place] for place in middle[:count])[count // 2]
            for place in middle[:count]:
                x[place] = min(max(wanted, low), high)
            middle = middle[count:]


class _Bounds:
    """Between what each place can move while those beside it stay."""

    def __init__(self, lattice: Lattice, gaps: list[list[float]], x: list[float]):
        self.x = x
        self.left: dict[int, tuple[int, float]] = {}
        self.right: dict[int, tuple[int, float]] = {}
        for row, between in zip(lattice.rows, gaps, strict=True):
            for left, right, gap in zip(row, row[1:], between, strict=False):
                self.left[right] = (left, gap)
                self.right[left] = (right, gap)

    def common(self, places: Sequence[int]) -> tuple[int, float, float]:
        """How many of the places from the first on can have the same x, and its bounds."""
        low, high = -inf, inf
        for count, place in enumerate(places):
            own_low, own_high = self._of(place)
            if max(low, own_low) > min(high, own_high) and count:
                return count, low, high
            low, high = max(low, own_low), min(high, own_high)
        return len(places), low, high

    def _of(self, place: int) -> tuple[float, float]:
        low, high = -inf, inf
        if place in self.left:
            beside, gap = self.left[place]
            low = self.x[beside] + gap
        if place in self.right:
            beside, gap = self.right[place]
            high = self.x[beside] - gap
        return low, high


def _pull(
    lattice: Lattice, x: list[float], place: int, near: Sequence[int]
) -> tuple[float, float]:
    """Where the neighbours want a place to be, and how strongly; alone, it stays lightly."""
    total = weight = 0.0
    for other in near:
        passing = (not lattice.is_box(place)) + (not lattice.is_box(other))
        strength = (1.0, 2.0, STRAIGHTNESS)[passing]
        total += x[other] * strength
        weight += strength
    return (total / weight, weight) if weight else (x[place], 0.1)


def _gaps(lattice: Lattice, row: Sequence[int], widths: Sequence[float]) -> list[float]:
    """The least distances between the middles of the places of a row."""
    found = []
    for left, right in zip(row, row[1:], strict=False):
        free = BOX_GAP if lattice.is_box(left) and lattice.is_box(right) else LINE_GAP
        found.append(_half(lattice, left, widths) + free + _half(lattice, right, widths))
    return found


def _half(lattice: Lattice, place: int, widths: Sequence[float]) -> float:
    return widths[place] / 2 if lattice.is_box(place) else 0.0


def _offsets(gaps: Sequence[float]) -> list[float]:
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    return offsets
