"""What flows where in a program of a plan: who wrote the bytes that an instruction reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
    """Who wrote what, newest last. A value that was overwritten in part is still found by it."""

    written: list[tuple[str, int, int, Written]] = field(default_factory=list)

    def write(self, buffer: Buffer, value: Written) -> None:
        start, end = buffer.offset, buffer.offset + buffer.type.bytes
        self.written = [w for w in self.written if not _inside(w, buffer.space, start, end)]
        self.written.append((buffer.space, start, end, value))

    def read(self, number: int, buffer: Buffer) -> Written:
        start, end = buffer.offset, buffer.offset + buffer.type.bytes
        for space, begin, stop, value in reversed(self.written):
            if space == buffer.space and begin < max(end, start + 1) and start < stop:
                return value
        return Written(HELD, number)


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


def overlapping(program: Program, space: str, start: int, size: int) -> Iterator[int]:
    """The buffers of a program that lie, wholly or in part, in some bytes of a space."""
    for number, buffer in enumerate(program.buffers):
        end = buffer.offset + buffer.type.bytes
        if buffer.space == space and buffer.offset < start + size and start < end:
            yield number


def _inside(written: tuple[str, int, int, Written], space: str, start: int, end: int) -> bool:
    return written[0] == space and start <= written[1] and written[2] <= end
