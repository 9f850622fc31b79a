"""Which instructions may run side by side: each has a lane, and waits for some of other lanes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowc_runtime.plan import Buffer, Instruction, Program
from flowc_runtime.types import TensorType


@dataclass(frozen=True, slots=True)
class Turn:
    """Of one instruction: its lane, in which instructions follow one another, and the numbers of
    those in other lanes that must be done before."""

    lane: int
    waits: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Access:
    number: int  # of the instruction
    place: Buffer
    writes: bool


def schedule(program: Program, lanes: int) -> tuple[Turn, ...]:
    """An instruction follows the last one that it needs, unless another has done so already: then
    it goes to the lane that nothing was put in for longest."""
    held: list[_Access] = []
    turns: list[Turn] = []
    tails = [-1] * lanes
    waited = [[-1] * lanes for _ in range(lanes)]  # by lane, how far it has waited for each other
    for number, instruction in enumerate(program.instructions):
        own = _accesses(number, instruction, program.buffers)
        needed = sorted({a.number for a in held for b in own if _clash(a, b)})
        follows = bool(needed) and needed[-1] in tails
        lane = turns[needed[-1]].lane if follows else tails.index(min(tails))
        last = {turns[n].lane: n for n in needed if turns[n].lane != lane}
        waits = tuple(n for other, n in last.items() if n > waited[lane][other])
        for n in waits:
            waited[lane][turns[n].lane] = n
        turns.append(Turn(lane, waits))
        tails[lane] = number
        held = [a for a in held if not any(_hides(b, a) for b in own)] + own
    return tuple(turns)


def _accesses(
    number: int, instruction: Instruction, buffers: Sequence[Buffer]
) -> list[_Access]:
    found = [_Access(number, buffers[k], False) for k in instruction.operands]
    found += [_Access(number, buffers[k], True) for k in instruction.results]
    if instruction.scratch_bytes:
        scratch = TensorType("u8", (instruction.scratch_bytes,))
        found.append(_Access(number, Buffer("arena", instruction.scratch_offset, scratch), True))
    return found


def _clash(before: _Access, after: _Access) -> bool:
    return (before.writes or after.writes) and before.place.meets(after.place)


def _hides(after: _Access, before: _Access) -> bool:
    """Whether who waits for the later one need not wait for the earlier."""
    inside = (
        after.place.space == before.place.space
        and after.place.offset <= before.place.offset and before.place.end <= after.place.end)
    return after.writes and inside
