"""Lifetimes: where a value lies in a program's memory, and from which instruction to which."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from flowc.views.dataflow import INPUT, DataFlow, Written, data_flow
from flowc_runtime.plan import Buffer, Instruction, Plan


@dataclass(frozen=True)
class Life:
    """Bytes `offset` to `offset + bytes` of a space hold the value of a buffer in a program.

    `written` and `read` are numbers of instructions; `kept` says that the value stays when the
    program ends. What no instruction writes comes from outside.
    """

    program: str
    space: str
    offset: int
    bytes: int
    type: str
    written: tuple[int, ...]
    read: tuple[int, ...]
    kept: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def variable_lives(plan: Plan, path: str) -> Iterator[Life]:
    """Those of a variable in every program that reads or writes it."""
    variable = next((v for v in plan.variables if v.path == path), None)
    if variable is None:
        return
    place = Buffer("variables", variable.offset, variable.type)
    for name, program in plan.programs.items():
        inside = {n for n, buffer in enumerate(program.buffers) if buffer.meets(place)}
        steps = list(enumerate(program.instructions))
        read = tuple(n for n, step in steps if inside.intersection(step.operands))
        written = tuple(n for n, step in steps if inside.intersection(step.results))
        if read or written:
            yield _life(name, place, written, read, kept=True)


def input_lives(plan: Plan, name: str) -> Iterator[Life]:
    """Those of an input in every program that has it."""
    for program_name, program in plan.programs.items():
        flows = data_flow(plan, program)
        for number, port in enumerate(program.inputs):
            if port.name == name:
                read = _readers(flows, Written(INPUT, number))
                yield _life(program_name, program.buffers[port.buffer], (), read, kept=True)


def output_lives(plan: Plan, name: str) -> Iterator[Life]:
    """Those of a named output in every program that gives it."""
    for program_name, program in plan.programs.items():
        flows = data_flow(plan, program)
        for port, values in zip(program.outputs, flows.outputs, strict=True):
            if port.name == name:
                written = tuple(v.instruction for v in values if v.instruction >= 0)
                read = sorted({number for v in values for number in _readers(flows, v)})
                buffer = program.buffers[port.buffer]
                yield _life(program_name, buffer, written, tuple(read), kept=True)


def value_lives(plan: Plan, belongs: Callable[[Instruction], bool]) -> Iterator[Life]:
    """Those of all results of the instructions that `belongs` accepts."""
    for name, program in plan.programs.items():
        flows = data_flow(plan, program)
        for number, instruction in enumerate(program.instructions):
            if belongs(instruction):
                for result, buffer in enumerate(instruction.results):
                    value = Written(number, result)
                    kept = flows.last_use.get(value) == len(program.instructions)
                    place, read = program.buffers[buffer], _readers(flows, value)
                    yield _life(name, place, (number,), read, kept)


def _life(
    program: str, place: Buffer, written: tuple[int, ...], read: tuple[int, ...], kept: bool
) -> Life:
    size = place.type.bytes
    return Life(program, place.space, place.offset, size, str(place.type), written, read, kept)


def _readers(flows: DataFlow, value: Written) -> tuple[int, ...]:
    return tuple(number for number, values in enumerate(flows.reads) if value in values)
