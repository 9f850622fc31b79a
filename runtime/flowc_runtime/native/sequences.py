"""Steps that follow one another: a table of them, and the loop over it that Python enters once.

A table is how many there are, the address of a pool (0: there is one thread), then some words for
each step.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from llvmlite import ir

from flowc_runtime.native.build import addresses_of
from flowc_runtime.native.lanes import I64, Value, loop, place_of
from flowc_runtime.native.sharing import SharedStep, Sharing
from flowc_runtime.native.unit import PLACES, STEP, Unit, pointer_to

WORDS = (pointer_to(STEP), PLACES, I64, I64, I64, I64)  # of a step
RUN = "run"
LONG_NANOSECONDS = 50_000  # of work that those who sleep are woken for, which takes some 3,000

Table = ctypes.Array[ctypes.c_int64]

_RUN = ir.FunctionType(ir.VoidType(), [PLACES])


@dataclass(frozen=True, slots=True)
class Step:
    """A function of machine code and what it is given: the address of a thread's places, and how
    many bytes further those of the next thread are. Threads that share the step take `grain`
    pieces at a time; with 0 one thread does all. What is shared, of it or within it, would take
    one thread about so many `nanoseconds`; `kept` is what only addresses refer to. `checks` raise
    ExecutionError afterwards where an operand had to be refused."""

    function: int
    places: int
    stride: int
    pieces: int
    grain: int
    nanoseconds: float
    kept: object
    checks: tuple[Callable[[], None], ...] = ()


def table_of(steps: Sequence[Step], pool: int, rounds: int) -> Table:
    """Of steps that are gone through so often. Who sleeps is woken where enough is to come."""
    left = rounds * sum(step.nanoseconds for step in steps)
    words = [len(steps), pool]
    for step in steps:
        wakes = left > LONG_NANOSECONDS
        words += [step.function, step.places, step.stride, step.pieces, step.grain, wakes]
        left -= step.nanoseconds
    return (ctypes.c_int64 * len(words))(*words)


def pointer_to_run() -> Any:
    return pointer_to(_RUN)


@cache
def run_address(shared: bool) -> int:
    """The function of a table; without `shared` its caller does all of it."""
    unit = Unit(1)
    function = ir.Function(unit.module, _RUN, RUN)
    b, (table,) = ir.IRBuilder(function.append_basic_block("entry")), function.args
    count, pool = (b.load(place_of(b, table, "i64", I64(n)), typ=type, align=8)
                   for n, type in enumerate((I64, PLACES)))
    with loop(b, 0, count) as k:
        step = _step(b, table, k)
        if shared:
            with b.if_else(b.icmp_signed("==", step.grain, I64(0))) as (alone, together):
                with alone:
                    step.call(b)
                with together:
                    Sharing(b, pool).lead(step)
        else:
            step.call(b)
    b.ret_void()
    return addresses_of(str(unit.module), [RUN])[RUN]


def _step(b: ir.IRBuilder, table: Value, number: Value) -> SharedStep:
    first = b.add(b.mul(number, I64(len(WORDS))), I64(2))
    return SharedStep(*(
        b.load(place_of(b, table, "i64", b.add(first, I64(n))), typ=type, align=8)
        for n, type in enumerate(WORDS)))
