"""The arena: lifetimes from the order, bytes taken over from dying operands, offsets."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace

from flowc.plan.places import Place
from flowc.plan.steps import Draft, Step
from flowc_runtime.plan import ALIGNMENT_BYTES

MAX_SEARCHED_BLOCKS = 1_500  # above it only the fastest way of packing is tried


class MemoryClash(AssertionError):
    """Two tensors that live at the same time share bytes: a bug of the planner."""


@dataclass(frozen=True, slots=True)
class Block:
    """Arena bytes that are occupied from step position `start` to `end`, both included.

    -1 is before the first step. Storages that take over each other's bytes are one block.
    """

    bytes: int
    start: int
    end: int


@dataclass(frozen=True)
class Memory:
    """Byte offsets in the arena: of each storage that lies there, and of each step's scratch."""

    offsets: Mapping[int, int]
    scratch: Mapping[int, int]
    bytes: int


Rows = Sequence[Sequence[int]]  # storages that must lie one behind the other


def lay_out(draft: Draft, order: Sequence[int], rows: Rows = ()) -> Memory:
    """Offsets for all that the steps need in the arena, in the given order."""
    blocks, block_of = _storage_blocks(draft, order, {s for row in rows for s in row})
    inside = _put_in_rows(blocks, [[block_of[s] for s in row] for row in rows])
    scratch_of: dict[int, int] = {}
    for position, step in enumerate(order):
        needed = draft.steps[step].scratch_bytes
        if needed:
            scratch_of[step] = len(blocks)
            blocks.append(Block(needed, position, position))
    offsets, total = pack(blocks)
    for block, (row, start) in inside.items():
        offsets[block] = offsets[row] + start
    return Memory(
        {storage: offsets[block] for storage, block in block_of.items()},
        {step: offsets[block] for step, block in scratch_of.items()},
        total,
    )


def _storage_blocks(
    draft: Draft, order: Sequence[int], in_rows: Set[int]
) -> tuple[list[Block], dict[int, int]]:
    """A block for each storage in the arena, or one for several that follow each other in place.

    Nothing takes over what lies in a row: a block is part of one row at most.
    """
    ends = _ends(draft, order)
    blocks: list[Block] = []
    block_of: dict[int, int] = {}

    def open_block(place: Place, start: int) -> None:
        storage = draft.storages[place.storage]
        block_of[storage.id] = len(blocks)
        blocks.append(Block(storage.bytes, start, ends.get(storage.id, start)))

    for place in draft.inputs.values():
        if draft.in_arena(place.storage):
            open_block(place, -1)
    for position, number in enumerate(order):
        step = draft.steps[number]
        taken: set[int] = set(in_rows)
        for result, place in enumerate(step.results):
            if not draft.in_arena(place.storage):
                continue
            source = _dying_operand(draft, step, result, position, ends, taken)
            if source is None:
                open_block(place, position)
                continue
            taken.add(source)
            block = block_of[place.storage] = block_of[source]
            blocks[block] = replace(blocks[block], end=ends.get(place.storage, position))
    return blocks, block_of


def _put_in_rows(blocks: list[Block], rows: Rows) -> dict[int, tuple[int, int]]:
    """Makes one block of those of each row: by old block, the new one and where in it it lies.

    The old ones stay in the list, with nothing in them.
    """
    inside: dict[int, tuple[int, int]] = {}
    for row in rows:
        start = 0
        for block in row:
            inside[block] = (len(blocks), start)
            start += aligned(blocks[block].bytes)
        members = [blocks[block] for block in row]
        first, last = min(b.start for b in members), max(b.end for b in members)
        blocks.append(Block(start, first, last))
        for block in row:
            blocks[block] = replace(blocks[block], bytes=0)
    return inside


def _ends(draft: Draft, order: Sequence[int]) -> dict[int, int]:
    """The last position at which each storage's value is needed."""
    ends = {}
    for position, number in enumerate(order):
        for storage in draft.steps[number].reads:
            ends[storage] = position
    ends.update((s.id, len(order)) for s in draft.storages if s.kept)
    return ends


def _dying_operand(
    draft: Draft, step: Step, result: int, position: int, ends: Mapping[int, int], taken: set[int]
) -> int | None:
    """The storage whose bytes the result takes over, if there is one."""
    bytes = draft.storages[step.results[result].storage].bytes
    for storage in step.reads:
        fits = draft.in_arena(storage) and draft.storages[storage].bytes == bytes
        if fits and bytes and ends[storage] == position and storage not in taken:
            if step.may_overwrite(storage, result):
                return storage
    return None


def pack(blocks: Sequence[Block]) -> tuple[list[int], int]:
    """An offset for each block such that none overlap in time and bytes; and the total.

    Blocks are put, one after the other, into the lowest gap between those that live at the same
    time. Which one goes first decides how good the result is, so several ways are tried.
    """
    by_start = sorted(range(len(blocks)), key=lambda b: (blocks[b].start, -blocks[b].bytes, b))
    ways = [by_start]
    if len(blocks) <= MAX_SEARCHED_BLOCKS:
        ways.insert(0, sorted(by_start, key=lambda b: -blocks[b].bytes))
        ways.append(sorted(by_start, key=lambda b: -blocks[b].bytes * _length(blocks[b])))
        ways.append(sorted(by_start, key=lambda b: (-_length(blocks[b]), -blocks[b].bytes)))
    least = lower_bound(blocks)
    best: tuple[list[int], int] | None = None
    for way in ways:
        found = _first_fit(blocks, way)
        if best is None or found[1] < best[1]:
            best = found
        if best[1] == least:
            break
    assert best is not None
    verify(blocks, *best)
    return best


def lower_bound(blocks: Sequence[Block]) -> int:
    """The largest sum of bytes that live at once: no layout needs less."""
    begins = [(block.start, 1, aligned(block.bytes)) for block in blocks]
    ends = [(block.end, 2, -aligned(block.bytes)) for block in blocks]
    live = peak = 0
    for _, _, bytes in sorted(begins + ends):
        live += bytes
        peak = max(peak, live)
    return peak


def verify(blocks: Sequence[Block], offsets: Sequence[int], total: int) -> None:
    """Raises MemoryClash unless all blocks lie in the arena and no two that live together meet."""
    events = sorted(
        event
        for b, block in enumerate(blocks)
        if block.bytes
        for event in ((block.start, 0, b), (block.end, 1, b))
    )
    live: list[tuple[int, int]] = []
    for _, ends, b in events:
        span = (offsets[b], offsets[b] + blocks[b].bytes)
        if ends:
            live.remove(span)
            continue
        if span[0] < 0 or span[1] > total or span[0] % ALIGNMENT_BYTES:
            raise MemoryClash(f"block {b} at {span} of an arena of {total} bytes")
        insort(live, span)
        at = live.index(span)
        neighbours = live[max(0, at - 1) : at + 2]
        if any(a[1] > c[0] for a, c in zip(neighbours, neighbours[1:], strict=False)):
            raise MemoryClash(f"block {b} at {span} meets another that lives at the same time")


def aligned(bytes: int) -> int:
    return -(-bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _length(block: Block) -> int:
    return block.end - block.start + 1


def _first_fit(blocks: Sequence[Block], way: Sequence[int]) -> tuple[list[int], int]:
    offsets = [0] * len(blocks)
    placed: list[tuple[int, int, int, int]] = []  # offset, end offset, start, end
    total = 0
    for b in way:
        block, size = blocks[b], aligned(blocks[b].bytes)
        if not size:
            continue
        at = 0
        for begin, stop, start, end in placed:
            if start <= block.end and block.start <= end:
                if begin - at >= size:
                    break
                at = max(at, stop)
        offsets[b] = at
        insort(placed, (at, at + size, block.start, block.end))
        total = max(total, at + size)
    return offsets, total
