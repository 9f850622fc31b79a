"""The plan: what a device holds and executes, as versioned plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowc_runtime.types import TensorType

PLAN_VERSION = 1
ALIGNMENT_BYTES = 64  # of all storage: a cache line, and the widest vector
SPACES = ("variables", "constants", "arena")
PLANNERS_OPS = ("fused", "copy", "scan")  # instructions that are not in the catalog


class PlanError(ValueError):
    """The plan is not one that can be run; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Buffer:
    """A contiguous tensor at `offset` bytes of its space.

    `space` is one of SPACES: `variables` (kept between steps and programs), `constants` (written
    once, when the plan is loaded) or `arena` (shared by the programs, each of which finds it in
    any state). Storage begins at multiples of ALIGNMENT_BYTES; a view into it (a slice of the
    leading axis) at multiples of its item size. What updates neighbouring variables at once has
    one buffer over all of them, and over the few bytes between them.
    """

    space: str
    offset: int
    type: TensorType

    @property
    def end(self) -> int:
        """The offset behind the last byte."""
        return self.offset + self.type.bytes

    def meets(self, other: Buffer) -> bool:
        """Whether the two share bytes."""
        same_space = self.space == other.space
        return same_space and max(self.offset, other.offset) < min(self.end, other.end)


@dataclass(frozen=True, slots=True)
class Instruction:
    """One kernel call. Operands and results are indices into the program's buffers.

    `op` is an op of the catalog, or one of the planner's own:
      `fused`  {"lines": (...)}: an expression kernel, see `expression.py`
      `copy`   an update whose value could not be computed in place
      `scan`   `body` holds the loop; attrs as in the graph's scan node. The body's buffers
               lie in the same spaces: what it captures in the operands' places, a carry in its
               result's place, all else in the scratch of the instruction
    `scratch_offset` is a place in the arena that is the instruction's own while it runs.
    A result may lie in the place of an operand that is read for the last time.
    `at` is `file:line:column` of the author's text, `path` the names that the node lies under.
    """

    op: str
    operands: tuple[int, ...]
    results: tuple[int, ...]
    attrs: Mapping[str, Any]
    scratch_offset: int = 0
    scratch_bytes: int = 0
    flops: int = 0
    bytes: int = 0
    at: str = ""
    path: str = ""
    body: Program | None = None


@dataclass(frozen=True, slots=True)
class Port:
    """A named input or output of a program, and the buffer it lies in."""

    name: str
    buffer: int


@dataclass(frozen=True)
class Program:
    """A straight list of instructions over buffers: one step of training, say.

    `sizes` are the bound dimensions (`{"batch": 128}`), `arena_bytes` the peak of its arena.
    Each buffer is written by one instruction at most (or comes from outside). Inputs stay as they
    are to the end. No instruction before number `commit` writes a variable, so until then the
    step can be given up, or run again, without a trace. `loss`, if it is an output, is complete
    by then.
    """

    name: str
    sizes: Mapping[str, int]
    buffers: tuple[Buffer, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    instructions: tuple[Instruction, ...]
    arena_bytes: int
    commit: int

    @property
    def flops(self) -> int:
        """Floating-point operations of one run."""
        return sum(i.flops for i in self.instructions)

    @property
    def bytes_moved(self) -> int:
        """Bytes that the instructions of one run read and write."""
        return sum(i.bytes for i in self.instructions)


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor known at compile time: a number (which fills it) or nested tuples."""

    type: TensorType
    offset: int
    value: Any


@dataclass(frozen=True, slots=True)
class Variable:
    """A tensor that outlives the step. `kind` is `param`, `state` or `slot`."""

    path: str
    kind: str
    type: TensorType
    offset: int


@dataclass(frozen=True)
class Plan:
    """All that one device needs: its variables, constants and programs, by name.

    Programs: `init` (outputs named after the variables' paths), `train`, `evaluate`, `predict`;
    a program bound to another batch size has it in its name (`evaluate@80`).
    """

    model: str
    source_hash: str
    variables: tuple[Variable, ...]
    variable_bytes: int
    constants: tuple[Constant, ...]
    constant_bytes: int
    programs: Mapping[str, Program]
    device: str = "cpu:0"
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: int = PLAN_VERSION

    @property
    def arena_bytes(self) -> int:
        """The arena that the programs share: as large as the largest of them needs."""
        return max((p.arena_bytes for p in self.programs.values()), default=0)

    @property
    def bytes_held(self) -> int:
        """All memory that the device allocates for the plan."""
        return self.variable_bytes + self.constant_bytes + self.arena_bytes
