"""Calls that follow one another, as one: the loop over a step that Python enters once."""

from __future__ import annotations

from functools import cache
from typing import Any

from llvmlite import ir

from flowc_runtime.native.build import addresses_of
from flowc_runtime.native.lanes import I64, loop, place_of
from flowc_runtime.native.unit import PLACES, Unit

NAME = "one_after_the_other"


def _function_pointer() -> Any:
    """LLVM's pointers are of no type, but llvmlite wants to know what a call gives."""
    type = ir.PointerType()
    type.pointee = ir.FunctionType(ir.VoidType(), [PLACES])
    return type


@cache
def sequence_address() -> int:
    """A function of a table: a count, then so many pairs, a function and what it is given."""
    unit = Unit(1)
    b = unit.function(NAME)
    table = b.function.args[0]
    with loop(b, 0, b.load(table, typ=I64, align=8)) as k:
        first = b.add(b.mul(k, I64(2)), I64(1))
        called, given = (
            b.load(place_of(b, table, "i64", b.add(first, I64(n))), typ=type, align=8)
            for n, type in enumerate((_function_pointer(), PLACES)))
        b.call(called, [given])
    b.ret_void()
    return addresses_of(str(unit.module), [NAME])[NAME]
