"""Minimal filtering: fewer multiplications, between transforms that only add (Winograd 1980).

F(m, r) computes m neighbouring results of a filter with r taps by m + r - 1 multiplications:

    y = A^T [(G g) * (B^T d)]

of the filter g and m + r - 1 numbers d that it slides over. F(2, 3) and F(3, 2) are here, both from
the points 0, 1, -1 and infinity, so that they share B. Along two axes each matrix is applied from
both sides: Lavin & Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowc_runtime.native.lanes import Lanes, Value
from flowc_runtime.native.parts import Part
from flowc_runtime.native.tiles import Tiles

Matrix = tuple[tuple[float, ...], ...]

POINTS = 4
DATA: Matrix = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))  # B^T of both
# F(2, 3)
KERNEL: Matrix = ((1, 0, 0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0, 0, 1))  # G
RESULT: Matrix = ((1, 1, 1, 0), (0, 1, -1, -1))  # A^T
# F(3, 2). The halves of G are in A^T, which is applied once and not to each tile.
GRADIENT: Matrix = ((1, 0), (1, 1), (1, -1), (0, 1))  # G
WEIGHTS: Matrix = ((1, 0.5, 0.5, 0), (0, 0.5, -0.5, 0), (0, 0.5, 0.5, -1))  # A^T


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the numbers of a tile lie: the first of them, and the ways to the next below and
    beside."""

    place: Value
    below: int
    beside: int


def transform(
    t: Tiles, source: Grid, target: Grid, down: Matrix, across: Matrix, parts: Sequence[Part]
) -> None:
    """target = down * source * across^T, for each channel of the parts."""
    for part in parts:
        lanes = Lanes(t.b, part.lanes)
        grid = [
            [
                lanes.load(_place(t, source, part, i, j), "f32")
                for j in range(len(across[0]))
            ]
            for i in range(len(down[0]))
        ]
        columns = [_applied(lanes, down, column) for column in zip(*grid, strict=True)]
        for i, row in enumerate(zip(*columns, strict=True)):
            for j, value in enumerate(_applied(lanes, across, row)):
                lanes.store(value, _place(t, target, part, i, j), "f32")


def _place(t: Tiles, grid: Grid, part: Part, i: int, j: int) -> Value:
    return t.near(grid.place, i * grid.below + j * grid.beside + part.offset)


def _applied(lanes: Lanes, matrix: Matrix, values: Sequence[Value]) -> list[Value]:
    return [_combined(lanes, row, values) for row in matrix]


def _combined(lanes: Lanes, row: Sequence[float], values: Sequence[Value]) -> Value:
    """The sum of `row[k] * values[k]`, which begins with one where `row[k]` is positive."""
    total = None
    for k in sorted(range(len(row)), key=lambda k: row[k] < 0):
        if not row[k]:
            continue
        size = abs(row[k])
        term = values[k] if size == 1 else lanes.b.fmul(values[k], lanes.number("f32", size))
        if total is None:
            total = term
        else:
            total = (lanes.b.fadd if row[k] > 0 else lanes.b.fsub)(total, term)
    return total
