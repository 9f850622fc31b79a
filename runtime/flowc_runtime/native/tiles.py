"""Sums of products in registers: what products of matrices and convolutions are made of.

A tile is some numbers times some vectors: a vector that is loaded serves each of the numbers, and a
number each of the vectors, so that the processor multiplies and adds in nearly every cycle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Lanes, Value, loop, place_of, stretches
from flowc_runtime.native.parts import Part, channel_blocks
from flowc_runtime.native.ranges import Range
from flowc_runtime.native.unit import given

ACCUMULATORS = 24  # vectors of a tile, of the 32 registers that AVX-512 and NEON have
FEWER_ACCUMULATORS = 12  # of 16
FLOAT_BYTES = 4

Register = tuple[Lanes, Value, Value]  # its lanes, where it is held, and its place in memory


def even(total: int, most: int) -> Iterator[tuple[int, int, int]]:
    """Stretches of nearly the same length, `most` at most: (start, count of them, length)."""
    pieces = -(-total // most)
    length, longer = divmod(total, pieces)
    if longer:
        yield 0, longer, length + 1
    if pieces > longer:
        yield longer * (length + 1), pieces - longer, length


@dataclass(frozen=True, slots=True)
class Factors:
    """A matrix [rows, depth], or [depth, rows] where it is turned, times [depth, columns]."""

    rows: int
    depth: int
    columns: int
    turned: bool = False

    @property
    def step(self) -> int:
        """From a row on the left to the next."""
        return 1 if self.turned else self.depth

    @property
    def along(self) -> int:
        """From one number of a row on the left to the next."""
        return self.rows if self.turned else 1


class Tiles:
    """Writes tiles of f32 where the builder stands, in a function of places."""

    def __init__(self, b: ir.IRBuilder, lanes: int):
        self.b, self.lanes = b, lanes
        self.accumulators = ACCUMULATORS if lanes != 8 else FEWER_ACCUMULATORS

    def place(self, number: int) -> Value:
        """An operand, a result, or what is spilled."""
        return given(self.b, number)

    def most(self, parts: Sequence[Part]) -> int:
        """How many numbers of a tile there are registers for."""
        return max(1, self.accumulators // len(parts))

    def at(self, base: Value, *terms: tuple[Value, int]) -> Value:
        """The place of the number with the sum of `index * stride` of the terms."""
        return place_of(self.b, base, "f32", self.sum(*terms))

    def sum(self, *terms: tuple[Value, int]) -> Value:
        """Of `index * stride` of the terms."""
        total = I64(0)
        for index, stride in terms:
            total = self.b.add(total, self.b.mul(index, I64(stride)))
        return total

    def blocks(self, some: Range, columns: int) -> Iterator[tuple[Value, Sequence[Part]]]:
        """Some of so many columns in registers: the first of each block, and its parts."""
        found = channel_blocks(columns, self.lanes)
        share, done = some.share(sum(block.count for block in found), columns), 0
        for block in found:
            with share.part(done, block.count).each() as at:
                yield self.sum((I64(1), block.start), (at, block.width)), block.parts
            done += block.count

    def evenly(self, some: Range, total: int, most: int) -> Iterator[tuple[Value, int]]:
        """Some of `total` numbers in stretches of nearly the same length, `most` at most: the
        first of each, and the length."""
        found = list(even(total, most))
        share, done = some.share(sum(count for _, count, _ in found), total), 0
        for start, count, length in found:
            with share.part(done, count).each() as k:
                yield self.sum((I64(1), start), (k, length)), length
            done += count

    def near(self, place: Value, numbers: int) -> Value:
        return place_of(self.b, place, "f32", I64(numbers)) if numbers else place

    def copy(self, source: Value, target: Value, count: int) -> None:
        for lanes, index in stretches(self.b, self.lanes, count):
            value = lanes.load(place_of(self.b, source, "f32", index), "f32")
            lanes.store(value, place_of(self.b, target, "f32", index), "f32")

    def clear(self, target: Value, count: int) -> None:
        for lanes, index in stretches(self.b, self.lanes, count):
            lanes.store(lanes.number("f32", 0), place_of(self.b, target, "f32", index), "f32")

    def tile(
        self, out: Value, stride: int, parts: Sequence[Part], count: int,
        terms: Iterator[tuple[Sequence[Value], Value]], keep: bool,
    ) -> None:
        """Sums of products in registers, for `count` numbers each of the parts.

        Those of number k are stored at `out` + k * stride; with `keep` they are added to what is
        there, so that many sums of few are exacter than one of many. A term is where the `count`
        numbers lie, and the vectors that they multiply.
        """
        registers = self._registers(out, stride, parts, count)
        for row in registers:
            for lanes, register, _ in row:
                self.b.store(lanes.number("f32", 0), register)
        for numbers, vectors in terms:
            self._add_products(registers, parts, numbers, vectors)
        for row in registers:
            for lanes, register, place in row:
                total = self.b.load(register, typ=lanes.type("f32"))
                if keep:
                    total = self.b.fadd(lanes.load(place, "f32"), total)
                lanes.store(total, place, "f32")

    def product(
        self, factors: Factors, left: Value, right: Value, out: Value, rows: Range,
        parts: Sequence[Part], depth: int, keep: bool,
    ) -> None:
        """Some rows and columns of a product, of which `depth` terms are summed."""
        for first, length in self.evenly(rows, factors.rows, self.most(parts)):
            numbers, place = self.at(left, (first, factors.step)), self.at(
                out, (first, factors.columns))
            terms = self._sum(factors, numbers, right, depth, length)
            self.tile(place, factors.columns, parts, length, terms, keep)

    def _sum(
        self, factors: Factors, left: Value, right: Value, depth: int, rows: int
    ) -> Iterator[tuple[Sequence[Value], Value]]:
        with loop(self.b, 0, depth) as k:
            first = self.at(left, (k, factors.along))
            numbers = [self.near(first, row * factors.step) for row in range(rows)]
            yield numbers, self.at(right, (k, factors.columns))

    def _registers(
        self, out: Value, stride: int, parts: Sequence[Part], count: int
    ) -> list[list[Register]]:
        found = []
        for k in range(count):
            row = []
            for part in parts:
                lanes = Lanes(self.b, part.lanes)
                with self.b.goto_entry_block():
                    register = self.b.alloca(lanes.type("f32"))
                row.append((lanes, register, self.near(out, k * stride + part.offset)))
            found.append(row)
        return found

    def _add_products(
        self, registers: Sequence[Sequence[Register]], parts: Sequence[Part],
        numbers: Sequence[Value], vectors: Value,
    ) -> None:
        """To each row of registers its number times the vectors, rounded once."""
        plain = Lanes(self.b, 1)
        loaded = [
            Lanes(self.b, p.lanes).load(self.near(vectors, p.offset), "f32") for p in parts]
        for row, number in zip(registers, numbers, strict=True):
            one = plain.load(number, "f32")
            for (lanes, register, _), vector in zip(row, loaded, strict=True):
                before = self.b.load(register, typ=lanes.type("f32"))
                total = lanes.call("llvm.fma", "f32", lanes.splat(one), vector, before)
                self.b.store(total, register)
