"""The flow of values through the arena: what is read is still what was written for it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from flowc_runtime.plan import (
    ALIGNMENT_BYTES,
    Buffer,
    Instruction,
    PlanError,
    Port,
    Program,
)
from flowc_runtime.types import TensorType

_SCRATCH = -1  # owns the bytes that an instruction has used for itself
_NOBODY = -2


def check_flow(program: Program, where: str) -> None:
    """Raises PlanError where a tensor in the arena is read after others took its bytes.

    Follows the instructions with a map of who wrote each byte last. Inputs and outputs must be
    whole at the end.
    """
    _follow(program, where, (*program.inputs, *program.outputs))


def _follow(program: Program, where: str, kept: Sequence[Port]) -> None:
    owners = _Owners(_twins(program))
    written = {p.buffer for p in program.inputs}
    for port in program.inputs:
        owners.write(program.buffers[port.buffer], port.buffer)
    for number, instruction in enumerate(program.instructions):
        at = f"{where}, instruction {number} ({instruction.op})"
        for k in instruction.operands:
            _check_read(program, k, owners, written, at)
        _check_apart(program, instruction, at)
        owners.write(_scratch(instruction), _SCRATCH)
        for k in instruction.results:
            if k in written:
                raise PlanError(f"{at}: buffer {k} is written twice")
            owners.write(program.buffers[k], k)
            written.add(k)
        if instruction.body is not None:
            body = instruction.body
            captured = [p for p in body.inputs if p.name[0] == "k"]
            _follow(body, f"{at}, body", (*captured, *body.outputs))
    for port in kept:
        _check_read(program, port.buffer, owners, written, f"{where}, at its end")


def _twins(program: Program) -> dict[int, int]:
    """Captures of a loop that share bytes of the program around it, as a value and a part of it
    do: to each the first one."""
    captures = [
        p.buffer for p in program.inputs
        if p.name[0] == "k" and program.buffers[p.buffer].space == "arena"
    ]
    twins: dict[int, int] = {}
    first, end = -1, 0
    for number in sorted(captures, key=lambda k: program.buffers[k].offset):
        buffer = program.buffers[number]
        if first < 0 or buffer.offset >= end:
            first = number
        twins[number], end = first, max(end, buffer.end)
    return twins


def _check_read(
    program: Program, number: int, owners: _Owners, written: set[int], at: str
) -> None:
    buffer = program.buffers[number]
    if buffer.space != "arena" or not buffer.type.bytes:
        return
    found = set(owners.read(buffer))
    if number in written:
        if found != {owners.twins.get(number, number)}:
            raise PlanError(f"{at}: buffer {number} was overwritten before it is read")
        return
    if len(found) > 1 and _is_row(program, buffer, owners):
        return
    owner = found.pop()
    if found or owner < 0:
        raise PlanError(f"{at}: buffer {number} is no view of one tensor")
    wholes = [program.buffers[k] for k in owners.group(owner)]
    if not any(w.offset <= buffer.offset and buffer.end <= w.end for w in wholes):
        raise PlanError(f"{at}: buffer {number} is no view of buffer {owner}")


def _is_row(program: Program, buffer: Buffer, owners: _Owners) -> bool:
    """Whether a buffer holds whole tensors one behind the other, each on a boundary.

    What lies between the end of one and the next boundary may be anything.
    """
    at = buffer.offset
    for start, end, owner in owners.intervals(buffer):
        if start < at:  # between two tensors
            continue
        whole = program.buffers[owner] if owner >= 0 else None
        if whole is None or (whole.space, whole.offset, whole.end) != ("arena", start, end):
            return False
        at = -(-end // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return True


def _check_apart(program: Program, instruction: Instruction, at: str) -> None:
    """Results and scratch lie apart; a result meets an operand only by taking its place."""
    results = [program.buffers[k] for k in instruction.results]
    operands = [program.buffers[k] for k in instruction.operands]
    scratch = _scratch(instruction)
    if any(a.meets(b) for a, b in combinations([*results, scratch], 2)):
        raise PlanError(f"{at}: its results or its scratch meet")
    if any(scratch.meets(b) for b in operands):
        raise PlanError(f"{at}: its scratch meets an operand")
    for a in results:
        for b in operands:
            if a.meets(b) and (a.offset, a.type) != (b.offset, b.type):
                raise PlanError(f"{at}: a result meets an operand without taking its place")


def _scratch(instruction: Instruction) -> Buffer:
    type = TensorType("u8", (instruction.scratch_bytes,))
    return Buffer("arena", instruction.scratch_offset, type)


class _Owners:
    """Who wrote each byte of the arena last: disjoint intervals in order.

    `twins` maps buffers that hold the value of another one to that one, which owns the bytes.
    """

    def __init__(self, twins: Mapping[int, int]) -> None:
        self.twins = twins
        self._starts: list[int] = [0]
        self._owners: list[int] = [_NOBODY]

    def group(self, owner: int) -> list[int]:
        """All whose bytes it owns."""
        return [k for k, first in self.twins.items() if first == owner] or [owner]

    def write(self, buffer: Buffer, owner: int) -> None:
        if buffer.space != "arena" or not buffer.type.bytes:
            return
        first = self._cut(buffer.offset)
        last = self._cut(buffer.end)
        self._starts[first:last] = [buffer.offset]
        self._owners[first:last] = [self.twins.get(owner, owner)]

    def read(self, buffer: Buffer) -> Sequence[int]:
        return list(self._between(buffer.offset, buffer.end))

    def intervals(self, buffer: Buffer) -> Iterator[tuple[int, int, int]]:
        """Start, end and owner of what meets a buffer, in order."""
        self._cut(buffer.offset)
        self._cut(buffer.end)
        at = bisect_right(self._starts, buffer.offset) - 1
        while self._starts[at] < buffer.end:
            yield self._starts[at], self._starts[at + 1], self._owners[at]
            at += 1

    def _between(self, start: int, end: int) -> Iterator[int]:
        at = bisect_right(self._starts, start) - 1
        while at < len(self._starts) and self._starts[at] < end:
            yield self._owners[at]
            at += 1

    def _cut(self, at: int) -> int:
        """Makes an interval begin at a byte, and returns its position."""
        position = bisect_right(self._starts, at) - 1
        if self._starts[position] == at:
            return position
        self._starts.insert(position + 1, at)
        self._owners.insert(position + 1, self._owners[position])
        return position + 1
