"""What of a scan's sequences the body reads and writes where it lies, instead of in a copy.

An element of a sequence that is walked along its first axis is in one piece. So what the body reads
of it, or writes of it, can be given another place in each round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from flowc_runtime.plan import Buffer, Instruction, Program
from flowc_runtime.rounds import Ends, body_of


@dataclass(frozen=True, slots=True)
class Use:
    """Operand or result number `position` of an instruction of the body begins `offset` bytes
    into the element."""

    instruction: int
    position: int
    offset: int


@dataclass(frozen=True, slots=True)
class Standing:
    """A sequence outside of the body: its elements are `step` bytes apart."""

    sequence: Buffer
    step: int
    uses: tuple[Use, ...]


def left_to_move(instruction: Instruction, ends: Ends) -> tuple[Ends, tuple[Standing, ...]]:
    """Of what a scan moves that which has to be moved, and the rest."""
    body = body_of(instruction)
    sources = [standing_source(body, sequence, axis, x) for sequence, x, axis in ends.fed]
    numbers = [port.buffer for port in body.outputs]
    targets = [
        standing_target(body, number, sequence, axis)
        for number, (_, sequence, axis) in zip(numbers, ends.yielded, strict=True)
    ]
    left = Ends(
        ends.starts,
        tuple(each for each, found in zip(ends.fed, sources, strict=True) if found is None),
        tuple(each for each, found in zip(ends.yielded, targets, strict=True) if found is None))
    return left, tuple(found for found in (*sources, *targets) if found is not None)


def standing_source(
    body: Program, sequence: Buffer, axis: int, x: Buffer
) -> Standing | None:
    """Of elements that a body is fed with as `x`; None where they have to be copied there."""
    passed = [body.buffers[p.buffer] for p in body.outputs if not _written(body, p.buffer)]
    if not _in_one_piece(sequence, axis) or any(x.meets(other) for other in passed):
        return None
    return _standing(sequence, x, _reads(body, x, 0))


def standing_target(
    body: Program, y: int, sequence: Buffer, axis: int
) -> Standing | None:
    """Of elements that a body yields in buffer number `y`; None where they have to be copied."""
    home = body.buffers[y]
    others = [body.buffers[p.buffer] for p in body.outputs]
    others += [body.buffers[p.buffer] for p in body.inputs]
    if not _in_one_piece(sequence, axis) or sum(home.meets(b) for b in others) > 1:
        return None
    writers = [
        k for k, i in enumerate(body.instructions)
        if any(body.buffers[r].meets(home) for r in i.results)
    ]
    if not writers or y not in (results := body.instructions[writers[-1]].results):
        return None
    writer = body.instructions[writers[-1]]
    if writer.body is not None:
        return None
    written = Use(writers[-1], len(writer.operands) + results.index(y), 0)
    return _standing(sequence, home, _reads(body, home, writers[-1] + 1), written)


def _standing(
    sequence: Buffer, element: Buffer, reads: list[Use] | None, *written: Use
) -> Standing | None:
    if reads is None or not element.type.bytes:
        return None
    return Standing(sequence, element.type.bytes, (*written, *reads))


def _reads(body: Program, home: Buffer, start: int) -> list[Use] | None:
    """What is read of an element, from an instruction on, until other things lie in its bytes.

    None where something is read that is more than the element, or by a scan within.
    """
    found: list[Use] = []
    for number, instruction in enumerate(body.instructions[start:], start):
        for position, buffer in _operands(body, instruction):
            if not buffer.meets(home):
                continue
            if buffer.offset < home.offset or buffer.end > home.end or instruction.body:
                return None
            found.append(Use(number, position, buffer.offset - home.offset))
        if any(body.buffers[k].meets(home) for k in instruction.results):
            break
    return found


def _operands(body: Program, instruction: Instruction) -> Iterator[tuple[int, Buffer]]:
    return enumerate(body.buffers[k] for k in instruction.operands)


def _written(body: Program, number: int) -> bool:
    return any(number in i.results for i in body.instructions)


def _in_one_piece(sequence: Buffer, axis: int) -> bool:
    sizes: Sequence[int] = sequence.type.sizes
    return prod(sizes[:axis]) == 1
