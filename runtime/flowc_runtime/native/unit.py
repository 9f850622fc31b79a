"""A module of LLVM's under construction, and the functions in it by what they compute."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from llvmlite import ir

from flowc_runtime.native.lanes import I64
from flowc_runtime.native.ranges import Range
from flowc_runtime.ops.op import Array

PLACES = ir.PointerType()
STEP = ir.FunctionType(ir.VoidType(), [PLACES, I64, I64])  # of places, and a range of pieces


def pointer_to(type: Any) -> Any:
    """LLVM's pointers are of no type, but llvmlite wants to know what a call gives."""
    pointer = ir.PointerType()
    pointer.pointee = type
    return pointer


def given(b: ir.IRBuilder, number: int, type: Any = PLACES) -> Any:
    """The place of that number which the function was given."""
    places = b.function.args[0]
    return b.load(b.gep(places, [I64(number)], source_etype=PLACES), typ=type, align=8)


class Kernel(ABC):
    """Code to be written: the function `name(places, first, last)`, which does some pieces.

    Its places are those of operands, results, what is shared, and what is spilled; of a scan see
    `scans.py`. Pieces write to different bytes, and none waits for another.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def pieces(self) -> int: ...

    @property
    @abstractmethod
    def nanoseconds(self) -> float:
        """About how long one thread takes for all pieces."""

    @property
    def whole_shares(self) -> bool:
        """Whether each call has much to do before its first piece, so that few should be made."""
        return False

    @property
    def before(self) -> Task | None:
        """What has to be done first, at the same places."""
        return None

    @property
    def shared_bytes(self) -> tuple[int, ...]:
        """Memory that all threads see, as `before` leaves it."""
        return ()

    @property
    def refuses(self) -> bool:
        """Whether there are operands that it has to refuse."""
        return False

    def refusal(self, shared: Sequence[Array]) -> str:
        """What was wrong with operands, as the shared memory tells afterwards; empty if nothing."""
        return ""

    @property
    def spilled_bytes(self) -> tuple[int, ...]:
        """Memory of each thread's own, zeroed once."""
        return ()

    def emit(self, unit: Unit, name: str) -> None:
        b = unit.function(name)
        _, first, last = b.function.args
        self.write(unit, b, Range(b, first, last))
        b.ret_void()

    @abstractmethod
    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Adds what the function does."""


class Task(Hashable, Protocol):
    """All that the code of an instruction depends on; many have the same."""

    def kernel(self) -> Kernel | None:
        """None where it is left to NumPy."""


class Writer(Kernel):
    """A task that is its own kernel."""

    __slots__ = ()

    def kernel(self) -> Self:
        return self


@dataclass
class Unit:
    """`lanes` are f32 a vector."""

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

    def function(self, name: str) -> ir.IRBuilder:
        """Where the code of a new function begins."""
        function = ir.Function(self.module, STEP, name)
        return ir.IRBuilder(function.append_basic_block("entry"))
