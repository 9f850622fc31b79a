"""Which instruction first made an infinity or NaN: found by running a step again, piece by piece.

The search goes backwards from the loss: from an instruction whose result holds NaN to the operand
that held it already, until one is found that made NaN (or, from there, an infinity) of numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from flowc_runtime.device import NonFinite, Run
from flowc_runtime.expression import parse_expression
from flowc_runtime.memory import HostMemory
from flowc_runtime.numpy_device.lines import evaluate_lines
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Buffer, Instruction, Plan, Program

_WORDS = {"nan": "NaN", "infinity": "an infinity"}


class Flags(NamedTuple):
    """What a tensor holds besides numbers."""

    nan: bool
    infinity: bool

    def holds(self, kind: str) -> bool:
        return self.nan if kind == "nan" else self.infinity


class Root(NamedTuple):
    """Where a search starts: a record of a trace."""

    trace: list[Record]
    start: int


@dataclass
class Record:
    """What an instruction read and wrote when it ran; `sources` wrote its operands.

    For a fused kernel `lines` says by kind which of its ops made it first; for a scan `rounds`
    is the first round that did.
    """

    instruction: Instruction
    read: tuple[Flags, ...]
    sources: tuple[int | None, ...]
    written: tuple[Flags, ...] = ()
    lines: dict[str, str] = field(default_factory=dict)
    rounds: dict[str, Root] = field(default_factory=dict)

    def made(self, kind: str) -> bool:
        return any(flags.holds(kind) for flags in self.written)

    def culprit(self, kind: str) -> int | None:
        """The first operand that held it already."""
        return next((k for k, flags in enumerate(self.read) if flags.holds(kind)), None)


def find_non_finite(plan: Plan, program: Program, run: Run, memory: HostMemory) -> NonFinite:
    """Why the loss of the program is not finite. Runs it again as far as its commit.

    Its inputs and the variables must still be what they were.
    """
    trace = _Tracer(program, run, memory).trace(program.commit)
    loss = next(p.buffer for p in program.outputs if p.name == "loss")
    place = program.buffers[loss]
    writers = [  # the loss may be another view of the bytes that an instruction wrote
        k for k, record in enumerate(trace)
        if any(program.buffers[n].meets(place) for n in record.instruction.results)
    ]  # fmt: skip
    if not writers:
        return _from_outside(plan, program, loss, flags_of(memory.view(program.buffers[loss])))
    record, kind, operand = _search(Root(trace, writers[-1]))
    if operand is not None and program.buffers[operand].space != "constants":
        flags = flags_of(memory.view(program.buffers[operand]))
        return _from_outside(plan, program, operand, flags)
    op = record.lines.get(kind, record.instruction.op)
    detail = f"made {_WORDS[kind]} of finite numbers" if operand is None else f"made {_WORDS[kind]}"
    return NonFinite(op, record.instruction.at, record.instruction.path, detail)


def flags_of(array: Array) -> Flags:
    if array.dtype.kind != "f":
        return Flags(False, False)
    return Flags(bool(np.isnan(array).any()), bool(np.isinf(array).any()))


def _search(root: Root) -> tuple[Record, str, int | None]:
    """The record to blame, for what, and the buffer from outside that it had it from, if any."""
    trace, index = root.trace, root.start
    kind = "nan" if trace[index].made("nan") else "infinity"
    while True:
        record = trace[index]
        operand = record.culprit(kind)
        if operand is None and kind == "nan" and record.culprit("infinity") is not None:
            kind, operand = "infinity", record.culprit("infinity")
        if operand is None:
            return _inside(record, kind)
        source = record.sources[operand]
        if source is None:
            return record, kind, record.instruction.operands[operand]
        index = source


def _inside(record: Record, kind: str) -> tuple[Record, str, int | None]:
    """The guilty instruction of a scan's body; any other instruction is guilty itself."""
    if kind not in record.rounds:
        return record, kind, None
    inner, kind, _ = _search(record.rounds[kind])
    return inner, kind, None


def _from_outside(plan: Plan, program: Program, number: int, flags: Flags) -> NonFinite:
    """Blames what was there before the step: a variable or an input."""
    buffer = program.buffers[number]
    what = _WORDS["nan" if flags.nan else "infinity"]
    reader = next((i for i in program.instructions if number in i.operands), None)
    at = reader.at if reader else ""
    for variable in plan.variables:
        start, end = variable.offset, variable.offset + variable.type.bytes
        if buffer.space == "variables" and start <= buffer.offset < end:
            return NonFinite(
                variable.kind, at, variable.path, f"held {what} before this step already"
            )
    for port in program.inputs:
        if program.buffers[port.buffer].meets(buffer):
            return NonFinite("input", at, port.name, f"the data hold {what}")
    return NonFinite("loss", at, "", f"is {what}")


class _Tracer:
    """Runs a program instruction by instruction and keeps records."""

    def __init__(self, program: Program, run: Run, memory: HostMemory):
        self.program = program
        self.run = run
        self.memory = memory

    def trace(self, stop: int) -> list[Record]:
        records: list[Record] = []
        written: list[tuple[Buffer, int]] = []
        for index, instruction in enumerate(self.program.instructions[:stop]):
            buffers = [self.program.buffers[k] for k in instruction.operands]
            sources = tuple(_writer(b, written) for b in buffers)
            record = Record(instruction, self._flags(instruction.operands), sources)
            self._execute(index, record)
            record.written = self._flags(instruction.results)
            written += [(self.program.buffers[k], index) for k in instruction.results]
            records.append(record)
        return records

    def _execute(self, index: int, record: Record) -> None:
        instruction = record.instruction
        if instruction.body is not None:
            self._rounds(index, instruction.body, record)
        elif instruction.op == "fused":
            before = [a.copy() for a in self._arrays(instruction.operands)]
            self.run(index, index + 1)
            record.lines = _guilty_lines(instruction, before)
        else:
            self.run(index, index + 1)

    def _rounds(self, index: int, body: Program, record: Record) -> None:
        """Runs a scan round by round, keeping the first that makes NaN, or an infinity."""
        loop = self.run.loop(index)
        tracer = _Tracer(body, loop.body, self.memory)
        loop.enter()
        for round in loop.rounds:
            loop.begin(round)
            trace = tracer.trace(len(body.instructions))
            loop.end(round)
            for kind in _WORDS:
                last = [k for k, r in enumerate(trace) if r.made(kind)]
                if last and kind not in record.rounds:
                    record.rounds[kind] = Root(trace, last[-1])

    def _arrays(self, numbers: Sequence[int]) -> list[Array]:
        return [self.memory.view(self.program.buffers[k]) for k in numbers]

    def _flags(self, numbers: Sequence[int]) -> tuple[Flags, ...]:
        return tuple(map(flags_of, self._arrays(numbers)))


def _guilty_lines(instruction: Instruction, operands: Sequence[Array]) -> dict[str, str]:
    """By kind, the op of the first line whose value holds it although no argument does."""
    expression = parse_expression(instruction.attrs["lines"])
    values = {f"i{k}": a for k, a in enumerate(operands)}
    found: dict[str, str] = {}
    for line, value in evaluate_lines(expression, values):
        for kind in _WORDS:
            before = any(flags_of(values[name]).holds(kind) for name in line.reads)
            if flags_of(value).holds(kind) and not before:
                found.setdefault(kind, line.op)
        values[line.name] = value
    return found


def _writer(buffer: Buffer, written: Sequence[tuple[Buffer, int]]) -> int | None:
    """The instruction that last wrote into the buffer's bytes; None for what was there before."""
    return next((k for other, k in reversed(written) if other.meets(buffer)), None)

