"""A module of LLVM's under construction, and the functions in it by what they compute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from llvmlite import ir

PLACES = ir.PointerType()


def given(b: ir.IRBuilder, number: int) -> Any:
    """The place of that number which the function was given."""
    places = b.function.args[0]
    return b.load(b.gep(places, [ir.IntType(64)(number)], source_etype=PLACES), typ=PLACES, align=8)


class Kernel(Protocol):
    """Code to be written: `spilled_bytes` are those of memory of its own, zeroed once."""

    @property
    def spilled_bytes(self) -> tuple[int, ...]: ...

    def emit(self, unit: Unit, name: str) -> None:
        """Adds the function `name(places)`: of operands, results, and what is spilled; of a scan
        see `scans.py`."""


class Task(Hashable, Protocol):
    """All that the code of an instruction depends on; many have the same."""

    def kernel(self) -> Kernel | None:
        """None where it is left to NumPy."""


class Writer(ABC):
    """A task that is its own kernel; it keeps no memory of its own unless it says so."""

    __slots__ = ()

    def kernel(self) -> Self:
        return self

    @property
    def spilled_bytes(self) -> tuple[int, ...]:
        return ()

    def emit(self, unit: Unit, name: str) -> None:
        b = unit.function(name)
        self.write(unit, b)
        b.ret_void()

    @abstractmethod
    def write(self, unit: Unit, b: ir.IRBuilder) -> None:
        """Adds what the function does: of operands, results, and what is spilled."""


@dataclass
class Unit:
    """`lanes` are f32 a vector. All functions are of one argument: where their places stand."""

    lanes: int
    module: Any = field(default_factory=ir.Module)
    names: dict[Task, str] = field(default_factory=dict)

    def name_of(self, task: Task) -> str:
        """The function of a task, which is written when it is first asked for."""
        if task not in self.names:
            kernel, name = task.kernel(), f"k{len(self.names)}"
            assert kernel is not None, "a task without code is none"
            self.names[task] = name
            kernel.emit(self, name)
        return self.names[task]

    def call(self, b: ir.IRBuilder, task: Task, places: Any) -> None:
        """Has the function of a task called where the builder stands."""
        b.call(self.module.globals[self.name_of(task)], [places])

    def function(self, name: str) -> ir.IRBuilder:
        """Where the code of a new function begins."""
        type = ir.FunctionType(ir.VoidType(), [PLACES])
        function = ir.Function(self.module, type, name)
        return ir.IRBuilder(function.append_basic_block("entry"))
