"""Scans: the launches of all rounds, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from flowc_runtime.cuda.kernel import Launch
from flowc_runtime.cuda.moves import move_launch
from flowc_runtime.plan import Buffer, Instruction
from flowc_runtime.rounds import Each, ends_of, rounds_of


def scan_launches(
    instruction: Instruction, buffers: Sequence[Buffer], body: Sequence[Launch]
) -> tuple[Launch, ...] | None:
    """Given the launches of one run of its body; None where the moves have no kernel."""
    ends = ends_of(instruction, buffers)
    rounds = rounds_of(instruction, ends)
    if rounds is None:
        return None
    found = list(_moves(rounds.starts, ends.starts, 0))
    count, reverse = instruction.attrs["length"], instruction.attrs["reverse"]
    for round in range(count)[:: -1 if reverse else 1]:
        found += _moves(rounds.fed, [each[:2] for each in ends.fed], round)
        found += body
        found += _moves(rounds.yielded, [each[:2] for each in ends.yielded], round)
    return tuple(found)


def _moves(
    moves: Sequence[Each], pairs: Sequence[tuple[Buffer, Buffer]], round: int
) -> Iterator[Launch]:
    for each, (source, target) in zip(moves, pairs, strict=True):
        yield move_launch(
            each.move, _further(source, round * each.source_step),
            _further(target, round * each.target_step))


def _further(buffer: Buffer, elements: int) -> Buffer:
    """The buffer from one of its elements on."""
    return replace(buffer, offset=buffer.offset + elements * buffer.type.storage.itemsize)
