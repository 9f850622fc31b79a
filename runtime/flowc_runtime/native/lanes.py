"""Values of several lanes: the small vocabulary in which kernels are written.

A kernel is written once, for any number of lanes; with one lane its values are plain numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import ir

Value = Any  # an ir.Value: llvmlite has no types
Type = Any  # an ir.Type

BIT, BYTE, I32, I64 = ir.IntType(1), ir.IntType(8), ir.IntType(32), ir.IntType(64)
ELEMENTS: dict[str, Type] = {
    "f32": ir.FloatType(), "f64": ir.DoubleType(), "i64": I64, "i32": I32, "i8": BYTE, "u8": BYTE,
    "bool": BIT,
}  # fmt: skip
BYTES = {"f32": 4, "f64": 8, "i64": 8, "i32": 4, "i8": 1, "u8": 1, "bool": 1}


@dataclass
class Lanes:
    """Makes values of `count` lanes where the builder `b` stands."""

    b: ir.IRBuilder
    count: int

    def of(self, element: Type) -> Type:
        return element if self.count == 1 else ir.VectorType(element, self.count)

    def type(self, dtype: str) -> Type:
        return self.of(ELEMENTS[dtype])

    def number(self, dtype: str, value: float) -> Value:
        """A number in all lanes, rounded to the dtype."""
        return self.constant(ELEMENTS[dtype], np.float32(value) if dtype == "f32" else value)

    def constant(self, element: Type, value: Any) -> Value:
        plain = float(value) if isinstance(element, (ir.FloatType, ir.DoubleType)) else int(value)
        one = ir.Constant(element, plain)
        return one if self.count == 1 else ir.Constant(self.of(element), [one] * self.count)

    def splat(self, one: Value) -> Value:
        """A plain number in all lanes."""
        if self.count == 1:
            return one
        nothing = ir.Constant(self.of(one.type), ir.Undefined)
        zeros = ir.Constant(ir.VectorType(I32, self.count), [I32(0)] * self.count)
        first = self.b.insert_element(nothing, one, I32(0))
        return self.b.shuffle_vector(first, nothing, zeros)

    def call(self, name: str, dtype: str, *args: Value) -> Value:
        """A function of LLVM's for floats, such as `llvm.sqrt`."""
        full = f"{name}.{'' if self.count == 1 else f'v{self.count}'}{dtype}"
        module = self.b.module
        if full not in module.globals:
            type = ir.FunctionType(self.type(dtype), [self.type(dtype)] * len(args))
            ir.Function(module, type, full)
        return self.b.call(module.globals[full], args)

    def bits(self, x: Value) -> Value:
        """The 32 bits of each f32."""
        return self.b.bitcast(x, self.of(I32))

    def floats(self, bits: Value) -> Value:
        return self.b.bitcast(bits, self.type("f32"))

    def load(self, place: Value, dtype: str) -> Value:
        """Neighbouring elements, the first of them at `place`."""
        stored = self.of(BYTE) if dtype == "bool" else self.type(dtype)
        found = self.b.load(place, typ=stored, align=BYTES[dtype])
        if dtype == "bool":
            return self.b.icmp_unsigned("!=", found, self.constant(BYTE, 0))
        return found

    def store(self, value: Value, place: Value, dtype: str) -> None:
        if dtype == "bool":
            value = self.b.zext(value, self.of(BYTE))
        self.b.store(value, place, align=BYTES[dtype])

    def halves(self, x: Value) -> tuple[Lanes, Value, Value]:
        """The lower and the upper half of the lanes, and what makes values of so many."""
        half = self.count // 2
        nothing = ir.Constant(x.type, ir.Undefined)
        parts = []
        for start in (0, half):
            which = [I32(start + k) for k in range(half)]
            if half == 1:
                parts.append(self.b.extract_element(x, which[0]))
            else:
                mask = ir.Constant(ir.VectorType(I32, half), which)
                parts.append(self.b.shuffle_vector(x, nothing, mask))
        return Lanes(self.b, half), parts[0], parts[1]


@contextmanager
def loop(
    b: ir.IRBuilder, start: int | Value, stop: int | Value, step: int = 1
) -> Iterator[Value]:
    """From `start` up to `stop`; the block is what is done with each number."""
    start, stop = (I64(end) if isinstance(end, int) else end for end in (start, stop))
    before = b.block
    head, body, end = (b.append_basic_block(name) for name in ("head", "body", "end"))
    b.branch(head)
    b.position_at_end(head)
    number = b.phi(I64)
    number.add_incoming(start, before)
    b.cbranch(b.icmp_signed("<", number, stop), body, end)
    b.position_at_end(body)
    yield number
    number.add_incoming(b.add(number, I64(step)), b.block)
    b.branch(head)
    b.position_at_end(end)


def stretches(
    b: ir.IRBuilder, lanes: int, count: int
) -> Iterator[tuple[Lanes, Value]]:
    """Numbers side by side: whole vectors, then what is left one by one."""
    done = 0
    for wide in (Lanes(b, lanes), Lanes(b, 1)):
        stop = count - (count - done) % wide.count
        if stop > done:
            with loop(b, done, stop, wide.count) as index:
                yield wide, index
            done = stop


def place_of(b: ir.IRBuilder, base: Value, dtype: str, index: Value) -> Value:
    """Where the element of that number is, counted from `base`."""
    stored = BYTE if dtype == "bool" else ELEMENTS[dtype]
    return b.gep(base, [index], source_etype=stored)
