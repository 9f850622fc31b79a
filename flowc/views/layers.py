"""Layers: boxes in rows such that every arrow points down, and long arrows as chains of places.

The first two steps of a layered drawing (Sugiyama, Tagawa and Toda 1981). `ordering.py` decides
who stands left of whom, `coordinates.py` how far apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

Edge = tuple[int, int]  # the numbers of the boxes that an arrow leaves and enters
MAX_PULLS = 20  # rounds of moving boxes closer to what they are joined to


class Circular(ValueError):
    """The arrows go round in a circle: no layered drawing exists."""


@dataclass
class Lattice:
    """Rows of places. The first `boxes` places are the boxes, the others let arrows pass.

    `chains` has the places that each arrow runs through, both boxes included; arrows that leave
    the same box share what they can of their ways. `above` and `below` are the neighbours of a
    place in the rows next to its own.
    """

    boxes: int
    rows: list[list[int]]
    row_of: list[int]
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    chains: list[list[int]] = field(default_factory=list)

    @property
    def size(self) -> int:
        return len(self.row_of)

    def is_box(self, place: int) -> bool:
        return place < self.boxes


def make_lattice(count: int, edges: Sequence[Edge]) -> Lattice:
    """Rows for `count` boxes; raises Circular where the edges are no partial order."""
    row_of = assign_rows(count, edges)
    rows: list[list[int]] = [[] for _ in range(max(row_of, default=-1) + 1)]
    for box, row in enumerate(row_of):
        rows[row].append(box)
    lattice = Lattice(count, rows, row_of, [[] for _ in row_of], [[] for _ in row_of])
    passing: dict[tuple[int, int], int] = {}
    for source, target in edges:
        chain = _chain(lattice, source, target, passing)
        lattice.chains.append(chain)
        for upper, lower in zip(chain, chain[1:], strict=False):
            if lower not in lattice.below[upper]:
                lattice.below[upper].append(lower)
                lattice.above[lower].append(upper)
    return lattice


def assign_rows(count: int, edges: Sequence[Edge]) -> list[int]:
    """The row of each box: below all that point at it, and arrows as short as is easily had."""
    before: list[list[int]] = [[] for _ in range(count)]
    after: list[list[int]] = [[] for _ in range(count)]
    for source, target in edges:
        before[target].append(source)
        after[source].append(target)
    order = _topological(before, after)
    row_of = [0] * count
    for box in order:
        row_of[box] = max((row_of[b] + 1 for b in before[box]), default=0)
    _shorten(row_of, order, before, after)
    used = {row: number for number, row in enumerate(sorted(set(row_of)))}
    return [used[row] for row in row_of]


def _topological(before: list[list[int]], after: list[list[int]]) -> list[int]:
    waiting = [len(sources) for sources in before]
    order = [box for box, count in enumerate(waiting) if count == 0]
    for box in order:  # grows while it is walked
        for target in after[box]:
            waiting[target] -= 1
            if waiting[target] == 0:
                order.append(target)
    if len(order) < len(before):
        raise Circular("the arrows go round in a circle")
    return order


def _shorten(
    row_of: list[int], order: list[int], before: list[list[int]], after: list[list[int]]
) -> None:
    """Moves boxes with more arrows out than in down, and the others up, until nothing moves."""
    for _ in range(MAX_PULLS):
        moved = False
        for box in (*order, *reversed(order)):
            row = _best_row(box, row_of, before[box], after[box])
            moved = moved or row != row_of[box]
            row_of[box] = row
        if not moved:
            return


def _best_row(box: int, row_of: list[int], before: list[int], after: list[int]) -> int:
    if len(after) > len(before):
        return min(row_of[target] for target in after) - 1
    if len(after) < len(before):
        return max(row_of[source] for source in before) + 1
    return row_of[box]


def _chain(
    lattice: Lattice, source: int, target: int, passing: dict[tuple[int, int], int]
) -> list[int]:
    """The places from `source` to `target`, one a row; `passing` has those made so far."""
    chain = [source]
    for row in range(lattice.row_of[source] + 1, lattice.row_of[target]):
        if (source, row) not in passing:
            passing[source, row] = lattice.size
            lattice.rows[row].append(lattice.size)
            lattice.row_of.append(row)
            lattice.above.append([])
            lattice.below.append([])
        chain.append(passing[source, row])
    return [*chain, target]
