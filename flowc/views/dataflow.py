"""What flows where in a program of a plan: who wrote the bytes that an instruction reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from flowc_runtime.plan import Buffer, Program


class Written(NamedTuple):
    """A value: result number `result` of an instruction, or what lies there from outside.

    `instruction` is -1 for an input (then `result` is its port) and -2 for a variable or a
    constant (then `result` is the number of a buffer).
    """

    instruction: int
    result: int


INPUT, HELD = -1, -2


@dataclass(frozen=True)
class DataFlow:
    """`reads` has the values of each instruction's operands, `outputs` those of the outputs.

    `last_use` says of each value the last instruction that reads it; the number of instructions
    where an output holds it to the end. A value that nothing reads is not in it.
    """

    reads: tuple[tuple[Written, ...], ...]
    outputs: tuple[Written, ...]
    last_use: Mapping[Written, int]


@dataclass
class _Bytes:
    """Who wrote what, newest last."""

    written: list[tuple[Buffer, Written]] = field(default_factory=list)

    def write(self, buffer: Buffer, value: Written) -> None:
        self.written = [(b, v) for b, v in self.written if not _inside(b, buffer)]
        self.written.append((buffer, value))

    def read(self, number: int, buffer: Buffer) -> Written:
        found = (v for b, v in reversed(self.written) if b.meets(buffer) or b == buffer)
        return next(found, Written(HELD, number))


def data_flow(program: Program) -> DataFlow:
    """Follows the instructions in their order; the bodies of scans are not looked into."""
    memory = _Bytes()
    for number, port in enumerate(program.inputs):
        memory.write(program.buffers[port.buffer], Written(INPUT, number))
    reads = []
    for number, instruction in enumerate(program.instructions):
        reads.append(tuple(memory.read(b, program.buffers[b]) for b in instruction.operands))
        for result, buffer in enumerate(instruction.results):
            memory.write(program.buffers[buffer], Written(number, result))
    outputs = tuple(memory.read(p.buffer, program.buffers[p.buffer]) for p in program.outputs)
    last_use = {value: number for number, values in enumerate(reads) for value in values}
    last_use.update(dict.fromkeys(outputs, len(program.instructions)))
    return DataFlow(tuple(reads), outputs, last_use)


def _inside(inner: Buffer, outer: Buffer) -> bool:
    same = inner.space == outer.space
    return same and outer.offset <= inner.offset and inner.end <= outer.end
