"""Machine code of tensors of indices: rows gathered and added up, elements taken and put.

All indices are looked at first. Where one is outside nothing is read or written, and the run ends
with an error that tells it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
from llvmlite import ir

from flowc_runtime.moves import ELEMENTS as MOVED
from flowc_runtime.native.lanes import ELEMENTS, I64, Lanes, Value, place_of, stretches
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.unit import Unit, Writer, given
from flowc_runtime.ops.indexing import outside
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Buffer, Instruction

INDICES, SUMMED = ("i32", "i64"), ("f32", "f64")
FOUND = 3  # the place of the words that the look at the indices leaves: after two operands and out
WORDS = 3  # of i64: whether one is outside, the least and the greatest
PER_INDEX, PER_ELEMENT = 1.5, 0.1  # nanoseconds, about


@dataclass(frozen=True, slots=True)
class BoundsTask(Writer):
    """The look at the indices, which are operand number `operand`."""

    operand: int
    dtype: str
    count: int
    size: int  # of the axis that they are for

    @property
    def pieces(self) -> int:
        return 1

    @property
    def nanoseconds(self) -> float:
        return PER_ELEMENT * self.count

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        least, greatest = (b.alloca(ELEMENTS[self.dtype]) for _ in range(2))
        with pieces.each():
            one = Lanes(b, 1)
            for register in (least, greatest):
                b.store(one.load(given(b, self.operand), self.dtype), register)
            for lanes, at in stretches(b, unit.lanes, self.count):
                found = lanes.load(place_of(b, given(b, self.operand), self.dtype, at), self.dtype)
                for register, name in ((least, "smin"), (greatest, "smax")):
                    b.store(_further(lanes, name, b.load(register), found, self.dtype), register)
            low, high = (_wide(b, b.load(register)) for register in (least, greatest))
            bad = b.or_(b.icmp_signed("<", low, I64(0)), b.icmp_signed(">=", high, I64(self.size)))
            with b.if_then(bad):  # these words stay, in a scan too, until they are read
                for k, word in enumerate((I64(1), low, high)):
                    b.store(word, place_of(b, given(b, FOUND), "i64", I64(k)), align=8)


@dataclass(frozen=True, slots=True)
class IndexedTask(Writer):
    """All that the code depends on: `count` indices into an axis of `size`, and for each a row of
    `row` elements. The indices are operand number `operand`."""

    operand: ClassVar[int]
    dtype: str  # of the indices
    element: str
    count: int
    size: int
    row: int = 1

    @property
    def before(self) -> BoundsTask:
        return BoundsTask(self.operand, self.dtype, self.count, self.size)

    @property
    def shared_bytes(self) -> tuple[int, ...]:
        return (8 * WORDS,)

    @property
    def refuses(self) -> bool:
        return True

    def refusal(self, shared: Sequence[Array]) -> str:
        """The next run begins with no refusal."""
        words = shared[0].view(np.int64)
        if not words[0]:
            return ""
        _, low, high = map(int, words)
        words[0] = 0
        return outside(low if low < 0 else high, self.size)

    @property
    def pieces(self) -> int:
        return self.count

    @property
    def nanoseconds(self) -> float:
        return self.count * (PER_INDEX + PER_ELEMENT * self.row)

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        bad = b.load(given(b, FOUND), typ=I64(0).type, align=8)
        with b.if_then(b.icmp_signed("==", bad, I64(0))):
            self.inside(unit, b, pieces)

    @abstractmethod
    def inside(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """What is done where all indices are inside."""

    def index(self, b: ir.IRBuilder, number: Value) -> Value:
        place = place_of(b, given(b, self.operand), self.dtype, number)
        return _wide(b, Lanes(b, 1).load(place, self.dtype))

    def at(self, b: ir.IRBuilder, place: int, number: Value, step: int = 1) -> Value:
        return place_of(b, given(b, place), self.element, b.mul(number, I64(step)))


@dataclass(frozen=True, slots=True)
class GatherTask(IndexedTask):
    """Of a table, indices and the result: a row for each index."""

    operand: ClassVar[int] = 1

    def inside(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        with pieces.each() as number:
            source = self.at(b, 0, self.index(b, number), self.row)
            target = self.at(b, 2, number, self.row)
            for lanes, at in stretches(b, unit.lanes, self.row):
                value = lanes.load(place_of(b, source, self.element, at), self.element)
                lanes.store(value, place_of(b, target, self.element, at), self.element)


@dataclass(frozen=True, slots=True)
class ScatterTask(IndexedTask):
    """Of indices, updates and the result: rows of the result, each with its updates in order."""

    operand: ClassVar[int] = 0

    @property
    def pieces(self) -> int:
        return self.size

    @property
    def whole_shares(self) -> bool:
        return True  # each goes through all indices

    def inside(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        with pieces.each() as row:
            for lanes, at in stretches(b, unit.lanes, self.row):
                nothing = lanes.number(self.element, 0.0)
                place = place_of(b, self.at(b, 2, row, self.row), self.element, at)
                lanes.store(nothing, place, self.element)
        with whole(b, self.count).each() as number:
            row = self.index(b, number)
            mine = b.and_(b.icmp_signed(">=", row, pieces.first),
                          b.icmp_signed("<", row, pieces.last))
            with b.if_then(mine):
                self._add(unit, b, self.at(b, 1, number, self.row), self.at(b, 2, row, self.row))

    def _add(self, unit: Unit, b: ir.IRBuilder, source: Value, target: Value) -> None:
        for lanes, at in stretches(b, unit.lanes, self.row):
            more, total = (place_of(b, place, self.element, at) for place in (source, target))
            added = b.fadd(lanes.load(total, self.element), lanes.load(more, self.element))
            lanes.store(added, total, self.element)


@dataclass(frozen=True, slots=True)
class TakeTask(IndexedTask):
    """Of rows of `size`, indices and the result: an element of each row."""

    operand: ClassVar[int] = 1

    def inside(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        one = Lanes(b, 1)
        with pieces.each() as number:
            row = self.at(b, 0, number, self.size)
            value = one.load(place_of(b, row, self.element, self.index(b, number)), self.element)
            one.store(value, self.at(b, 2, number), self.element)


@dataclass(frozen=True, slots=True)
class PutTask(IndexedTask):
    """Of indices, elements and the result: rows of `size` zeros, each with an element."""

    operand: ClassVar[int] = 0

    @property
    def nanoseconds(self) -> float:
        return self.count * (PER_INDEX + PER_ELEMENT * self.size)

    def inside(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        one = Lanes(b, 1)
        with pieces.each() as number:
            row = self.at(b, 2, number, self.size)
            for lanes, at in stretches(b, unit.lanes, self.size):
                nothing = lanes.constant(ELEMENTS[self.element], 0)
                lanes.store(nothing, place_of(b, row, self.element, at), self.element)
            value = one.load(self.at(b, 1, number), self.element)
            one.store(value, place_of(b, row, self.element, self.index(b, number)), self.element)


def gather_task(instruction: Instruction, buffers: Sequence[Buffer]) -> GatherTask | None:
    """None for indices of other dtypes, elements of two bytes, and where there are none."""
    table, index = (buffers[k].type for k in instruction.operands)
    element = MOVED.get(table.storage.itemsize)
    if index.dtype not in INDICES or element is None or not index.bytes or not table.bytes:
        return None
    count, (size, *row) = prod(index.sizes), table.sizes
    return GatherTask(index.dtype, element, count, size, prod(row))


def scatter_task(instruction: Instruction, buffers: Sequence[Buffer]) -> ScatterTask | None:
    """None for other dtypes, and where there is nothing to add."""
    index, updates = (buffers[k].type for k in instruction.operands)
    if index.dtype not in INDICES or updates.dtype not in SUMMED or not updates.bytes:
        return None
    count, size = prod(index.sizes), instruction.attrs["rows"]
    if not size:
        return None
    return ScatterTask(index.dtype, updates.dtype, count, size, prod(updates.sizes) // count)


def take_task(instruction: Instruction, buffers: Sequence[Buffer]) -> TakeTask | None:
    """As `gather_task`."""
    x, index = (buffers[k].type for k in instruction.operands)
    element = MOVED.get(x.storage.itemsize)
    if index.dtype not in INDICES or element is None or not x.bytes:
        return None
    return TakeTask(index.dtype, element, prod(index.sizes), x.sizes[-1])


def put_task(instruction: Instruction, buffers: Sequence[Buffer]) -> PutTask | None:
    """As `gather_task`."""
    index, x = (buffers[k].type for k in instruction.operands)
    element, size = MOVED.get(x.storage.itemsize), instruction.attrs["size"]
    if index.dtype not in INDICES or element is None or not x.bytes or not size:
        return None
    return PutTask(index.dtype, element, prod(index.sizes), size)


def _further(lanes: Lanes, name: str, known: Value, found: Value, dtype: str) -> Value:
    """The least or the greatest of what is known and all lanes."""
    b = lanes.b
    if lanes.count > 1:
        vector, bits = found.type, ELEMENTS[dtype].width
        full = f"llvm.vector.reduce.{name}.v{lanes.count}i{bits}"
        if full not in b.module.globals:
            ir.Function(b.module, ir.FunctionType(ELEMENTS[dtype], [vector]), full)
        found = b.call(b.module.globals[full], [found])
    return b.select(b.icmp_signed("<" if name == "smin" else ">", found, known), found, known)


def _wide(b: ir.IRBuilder, index: Value) -> Value:
    return index if index.type.width == 64 else b.sext(index, I64(0).type)
