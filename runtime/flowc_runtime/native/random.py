"""Machine code of uniform random numbers: the bits that `ops/random.py` defines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from llvmlite import ir

from flowc_runtime.native.lanes import ELEMENTS, I32, I64, Lanes, Value, place_of
from flowc_runtime.native.ranges import Range
from flowc_runtime.native.unit import Unit, Writer, given
from flowc_runtime.ops.random import PHILOX_FACTORS, PHILOX_ROUNDS, PHILOX_STEPS
from flowc_runtime.plan import Buffer, Instruction

WORDS = 4  # of a block
NUMBERS = {"f32": 2, "f64": 1}  # of a word
DIGITS = {"f32": 24, "f64": 53}  # of a number
NANOSECONDS = 12.0  # of a block, about

I128 = ir.IntType(128)


@dataclass(frozen=True, slots=True)
class RandomTask(Writer):
    """All that the code depends on; its operands are the seed and the step."""

    dtype: str
    count: int
    stream: int

    @property
    def block(self) -> int:
        """How many numbers a block gives."""
        return WORDS * NUMBERS[self.dtype]

    @property
    def pieces(self) -> int:
        return -(-self.count // self.block)

    @property
    def nanoseconds(self) -> float:
        return NANOSECONDS * self.pieces

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        one = Lanes(b, 1)
        seed, step = (one.load(given(b, k), "i64") for k in range(2))
        whole, rest = divmod(self.count, self.block)
        with pieces.part(0, whole).each() as block:
            self._block(b, seed, step, block, self.block)
        with pieces.part(whole, min(rest, 1)).each():
            self._block(b, seed, step, I64(whole), rest)

    def _block(
        self, b: ir.IRBuilder, seed: Value, step: Value, block: Value, count: int
    ) -> None:
        one, digits = Lanes(b, 1), DIGITS[self.dtype]
        target = place_of(b, given(b, 2), self.dtype, b.mul(block, I64(self.block)))
        numbers = self._bits(b, _philox(b, (seed, I64(self.stream)), block, step))
        for k, bits in enumerate(numbers[:count]):
            value = b.uitofp(bits, ELEMENTS[self.dtype])
            scaled = b.fmul(value, one.number(self.dtype, 2.0**-digits))
            one.store(scaled, place_of(b, target, self.dtype, I64(k)), self.dtype)

    def _bits(self, b: ir.IRBuilder, words: Sequence[Value]) -> list[Value]:
        """The highest bits of words or of their halves, the lower half first."""
        if self.dtype == "f64":
            return [b.lshr(word, I64(64 - DIGITS["f64"])) for word in words]
        halves = [
            b.trunc(half, I32) for word in words for half in (word, b.lshr(word, I64(32)))]
        return [b.lshr(half, I32(32 - DIGITS["f32"])) for half in halves]


def random_task(instruction: Instruction, buffers: Sequence[Buffer]) -> RandomTask | None:
    """None where there are no numbers."""
    type = buffers[instruction.results[0]].type
    if not type.bytes:
        return None
    return RandomTask(type.dtype, prod(type.sizes), instruction.attrs["stream"])


def _philox(
    b: ir.IRBuilder, key: tuple[Value, Value], block: Value, step: Value
) -> tuple[Value, ...]:
    """The words of the block of that number."""
    counter = (b.add(block, I64(1)), I64(0), I64(0), step)
    for number in range(PHILOX_ROUNDS):
        if number:
            key = b.add(key[0], I64(PHILOX_STEPS[0])), b.add(key[1], I64(PHILOX_STEPS[1]))
        (high, low), (above, below) = (
            _product(b, factor, counter[k])
            for factor, k in zip(PHILOX_FACTORS, (0, 2), strict=True))
        counter = (
            b.xor(b.xor(above, counter[1]), key[0]), below,
            b.xor(b.xor(high, counter[3]), key[1]), low)
    return counter


def _product(b: ir.IRBuilder, factor: int, x: Value) -> tuple[Value, Value]:
    """The high and the low word of a product."""
    wide = b.mul(b.zext(x, I128), I128(factor))
    return b.trunc(b.lshr(wide, I128(64)), I64(0).type), b.trunc(wide, I64(0).type)
