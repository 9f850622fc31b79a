"""Ordering: who stands left of whom in each row, so that few arrows cross."""

from __future__ import annotations

from collections.abc import Iterable

from flowc.views.layers import Lattice

MAX_SWEEPS = 24
SWEEP_BUDGET = 400_000  # places and steps of arrows that all sweeps together may look at
MAX_SEARCHED_PLACES = 1_500  # above it one start is tried, and no neighbours are exchanged


def order_rows(lattice: Lattice) -> None:
    """Orders every row of the lattice in place: barycentres, down and up, keeping the best."""
    cost = lattice.size + sum(map(len, lattice.below))
    sweeps = min(MAX_SWEEPS, max(2, SWEEP_BUDGET // max(cost, 1)))
    _depth_first(lattice)
    first = _copy(lattice)
    starts = [(first, True)]
    if lattice.size <= MAX_SEARCHED_PLACES:
        mirrored = [row[::-1] for row in first]
        starts += [(first, False), (mirrored, True), (mirrored, False)]
    tried = [_improved(lattice, rows, sweeps, down) for rows, down in starts]
    lattice.rows = min(tried, key=lambda found: found[0])[1]


def _improved(
    lattice: Lattice, rows: list[list[int]], sweeps: int, down: bool
) -> tuple[int, list[list[int]]]:
    """The best order found in some sweeps from `rows` on, and how many arrows cross in it."""
    lattice.rows = [list(row) for row in rows]
    best, fewest = _copy(lattice), crossings(lattice)
    for sweep in range(sweeps):
        if fewest == 0:
            break
        _sweep(lattice, down=(sweep % 2 == 0) == down)
        if lattice.size <= MAX_SEARCHED_PLACES:
            _swap_neighbours(lattice)
        found = crossings(lattice)
        if found < fewest:
            best, fewest = _copy(lattice), found
    return fewest, best


def crossings(lattice: Lattice) -> int:
    """How many pairs of arrows cross between neighbouring rows."""
    total = 0
    for upper, lower in zip(lattice.rows, lattice.rows[1:], strict=False):
        position = {place: at for at, place in enumerate(lower)}
        ends = [at for p in upper for at in sorted(position[q] for q in lattice.below[p])]
        total += _inversions(ends, len(lower))
    return total


def _inversions(values: Iterable[int], bound: int) -> int:
    """Pairs in the wrong order, counted with a Fenwick tree over the values below `bound`."""
    tree = [0] * (bound + 1)
    seen = wrong = 0
    for value in values:
        at, not_larger = value + 1, 0
        while at > 0:
            not_larger += tree[at]
            at -= at & -at
        wrong += seen - not_larger
        seen += 1
        at = value + 1
        while at <= bound:
            tree[at] += 1
            at += at & -at
    return wrong


def _depth_first(lattice: Lattice) -> None:
    """A first order: places in the order in which a walk down the arrows meets them."""
    met = [False] * lattice.size
    rows: list[list[int]] = [[] for _ in lattice.rows]
    for start in (place for row in lattice.rows for place in row):
        stack = [start]
        while stack:
            place = stack.pop()
            if not met[place]:
                met[place] = True
                rows[lattice.row_of[place]].append(place)
                stack.extend(reversed(lattice.below[place]))
    lattice.rows = rows


def _sweep(lattice: Lattice, down: bool) -> None:
    rows = lattice.rows if down else lattice.rows[::-1]
    neighbours = lattice.above if down else lattice.below
    for fixed, moved in zip(rows, rows[1:], strict=False):
        position = {place: float(at) for at, place in enumerate(fixed)}
        moved[:] = _by_barycentre(moved, neighbours, position)


def _by_barycentre(
    row: list[int], neighbours: list[list[int]], position: dict[int, float]
) -> list[int]:
    """The row sorted by the means of its neighbours' positions; the lonely keep their places."""
    centre = {
        place: sum(position[n] for n in neighbours[place]) / len(neighbours[place])
        for place in row
        if neighbours[place]
    }
    ordered = iter(sorted(centre, key=lambda place: centre[place]))
    return [next(ordered) if place in centre else place for place in row]


def _swap_neighbours(lattice: Lattice) -> None:
    """Exchanges places that stand side by side wherever that removes crossings."""
    position = [0] * lattice.size
    for row in lattice.rows:
        for at, place in enumerate(row):
            position[place] = at
    for row in lattice.rows:
        for at in range(len(row) - 1):
            left, right = row[at], row[at + 1]
            if _gain(lattice, position, left, right) > 0:
                row[at], row[at + 1] = right, left
                position[left], position[right] = at + 1, at


def _gain(lattice: Lattice, position: list[int], left: int, right: int) -> int:
    gain = 0
    for neighbours in (lattice.above, lattice.below):
        first = [position[n] for n in neighbours[left]]
        second = [position[n] for n in neighbours[right]]
        gain += sum((a > b) - (a < b) for a in first for b in second)
    return gain


def _copy(lattice: Lattice) -> list[list[int]]:
    return [list(row) for row in lattice.rows]
