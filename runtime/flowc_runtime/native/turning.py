"""Rows and columns of 4-byte numbers exchanged, in squares of one vector by one vector."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from flowc_runtime.native.lanes import I32, Lanes, Value, loop
from flowc_runtime.native.tiles import Tiles


def turn(
    t: Tiles, source: Value, target: Value, rows: int, columns: int, far: int, apart: int
) -> None:
    """target[column * apart + row] = source[row * far + column]."""
    side = t.lanes
    down, across = rows - rows % side, columns - columns % side
    with loop(t.b, 0, down, side) as row, loop(t.b, 0, across, side) as column:
        _square(
            t, t.at(source, (row, far), (column, 1)), t.at(target, (column, apart), (row, 1)),
            far, apart)
    _singly(t, source, target, (0, down), (across, columns), far, apart)
    _singly(t, source, target, (down, rows), (0, columns), far, apart)


def _square(t: Tiles, source: Value, target: Value, far: int, apart: int) -> None:
    """At each size by halves: the rows r and r + half exchange what lies off the diagonal."""
    lanes, count = Lanes(t.b, t.lanes), t.lanes
    rows = [lanes.load(t.near(source, r * far), "f32") for r in range(count)]
    half = count // 2
    while half:
        low = [k if not k & half else count + (k ^ half) for k in range(count)]
        high = [k ^ half if not k & half else count + k for k in range(count)]
        for r in range(count):
            if not r & half:
                a, b = rows[r], rows[r | half]
                rows[r], rows[r | half] = _mixed(lanes, a, b, low), _mixed(lanes, a, b, high)
        half //= 2
    for k, row in enumerate(rows):
        lanes.store(row, t.near(target, k * apart), "f32")


def _mixed(lanes: Lanes, a: Value, b: Value, which: Sequence[int]) -> Value:
    mask = ir.Constant(ir.VectorType(I32, lanes.count), [I32(k) for k in which])
    return lanes.b.shuffle_vector(a, b, mask)


def _singly(
    t: Tiles, source: Value, target: Value, rows: tuple[int, int], columns: tuple[int, int],
    far: int, apart: int,
) -> None:
    plain = Lanes(t.b, 1)
    if rows[0] < rows[1] and columns[0] < columns[1]:
        with loop(t.b, *rows) as row, loop(t.b, *columns) as column:
            value = plain.load(t.at(source, (row, far), (column, 1)), "f32")
            plain.store(value, t.at(target, (column, apart), (row, 1)), "f32")
