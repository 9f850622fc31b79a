"""What flows where in a program of a plan: who wrote the bytes that an instruction reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from flowc_runtime.plan import Buffer, Plan, Program


class Written(NamedTuple):
    """A value: result number `result` of an instruction, or what lies there from outside.

    `instruction` is INPUT for an input (then `result` is its port) and VARIABLE for a variable
    (then `result` is its number in the plan).
    """

    instruction: int
    result: int


INPUT, VARIABLE = -1, -2


@dataclass(frozen=True)
class DataFlow:
    """`reads` has the values that each instruction reads, `outputs` those that outputs hold.

    An operand can span several values that lie side by side. Constants are no values. `last_use`
    says of each value the last instruction that reads it; the number of instructions where an
    output or a variable holds it to the end. A value that nothing reads is not in it.
    """

    reads: tuple[tuple[Written, ...], ...]
    outputs: tuple[tuple[Written, ...], ...]
    last_use: Mapping[Written, int]


def data_flow(plan: Plan, program: Program) -> DataFlow:
    """Follows the instructions in their order; the bodies of scans are not looked into."""
    memory = _memory_before(plan, program)
    reads = []
    kept = []
    for number, instruction in enumerate(program.instructions):
        operands = [program.buffers[buffer] for buffer in instruction.operands]
        reads.append(tuple(dict.fromkeys(v for b in operands for v in memory.read(b))))
        for result, buffer in enumerate(instruction.results):
            memory.write(program.buffers[buffer], Written(number, result))
            if program.buffers[buffer].space == "variables":
                kept.append(Written(number, result))
    outputs = tuple(memory.read(program.buffers[p.buffer]) for p in program.outputs)
    last_use = {value: number for number, values in enumerate(reads) for value in values}
    for value in (*kept, *(v for values in outputs for v in values)):
        last_use[value] = len(program.instructions)
    return DataFlow(tuple(reads), outputs, last_use)


def _memory_before(plan: Plan, program: Program) -> _Memory:
    memory = _Memory()
    for number, variable in enumerate(plan.variables):
        place = Buffer("variables", variable.offset, variable.type)
        memory.write(place, Written(VARIABLE, number))
    for number, port in enumerate(program.inputs):
        memory.write(program.buffers[port.buffer], Written(INPUT, number))
    return memory


@dataclass
class _Memory:
    """Who wrote what, newest last."""

    written: list[tuple[Buffer, Written]] = field(default_factory=list)

    def write(self, buffer: Buffer, value: Written) -> None:
        self.written = [(b, v) for b, v in self.written if not _is_inside(b, buffer)]
        self.written.append((buffer, value))

    def read(self, buffer: Buffer) -> tuple[Written, ...]:
        """The values that lie in the bytes of a buffer, in the order of their bytes."""
        missing = [(buffer.offset, buffer.end)]
        found: list[tuple[int, Written]] = []
        for place, value in reversed(self.written):
            if not missing:
                break
            if place.space == buffer.space and any(_meet(place, gap) for gap in missing):
                found.append((place.offset, value))
                missing = _without(missing, place.offset, place.end)
        return tuple(value for _, value in sorted(found))


def _is_inside(inner: Buffer, outer: Buffer) -> bool:
    same = inner.space == outer.space
    return same and outer.offset <= inner.offset and inner.end <= outer.end


def _meet(place: Buffer, gap: tuple[int, int]) -> bool:
    return max(place.offset, gap[0]) < min(place.end, gap[1])


def _without(
    gaps: Sequence[tuple[int, int]], start: int, end: int
) -> list[tuple[int, int]]:
    """What is left of the gaps without the bytes from `start` to `end`."""
    cut = [part for a, b in gaps for part in ((a, min(b, start)), (max(a, end), b))]
    return [(a, b) for a, b in cut if a < b]
