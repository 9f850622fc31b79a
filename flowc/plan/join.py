"""Joining updates: the same kernel for many variables becomes one kernel over all of them.

An optimiser's text is lowered for each parameter, which makes as many small kernels. Where the
variables lie one behind the other, and so can what the kernels read, one kernel over the whole
stretch does the same work at once. The bytes between two tensors (each begins on a cache line)
are computed along and mean nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from flowc.plan.places import Place
from flowc.plan.steps import Draft, Step
from flowc_runtime.blocking import fused_scratch_bytes
from flowc_runtime.expression import ROW_OPS
from flowc_runtime.plan import ALIGNMENT_BYTES
from flowc_runtime.types import TensorType

Address = tuple[str, int]  # a space and the byte offset in it
Homes = Mapping[str, Address]


@dataclass(frozen=True)
class Joined:
    """`row` are storages of the arena that must lie one behind the other, in this order."""

    draft: Draft
    writers: frozenset[int]
    rows: tuple[tuple[int, ...], ...]


def join_updates(draft: Draft, writers: frozenset[int], homes: Homes) -> Joined:
    """The draft with runs of equal update steps joined, and what that asks of the arena."""
    runs = [run for run in _runs(draft, writers, homes) if len(run) > 1]
    if not runs:
        return Joined(draft, writers, ())
    first_of = {step.id: run[0].id for run in runs for step in run}
    leaders = {run[0].id: run for run in runs}
    numbers: dict[int, int] = {}
    kept: list[Step] = []
    rows: list[tuple[int, ...]] = []
    for step in draft.steps:
        if first_of.get(step.id, step.id) == step.id:
            numbers[step.id] = len(kept)
            run = leaders.get(step.id)
            kept.append(_join(draft, run) if run else step)
            rows += _rows(draft, run) if run else []
    for id, first in first_of.items():
        numbers[id] = numbers[first]
    return Joined(
        _renumbered(draft, kept, numbers), frozenset(numbers[w] for w in writers), tuple(rows)
    )


def _renumbered(draft: Draft, kept: Sequence[Step], numbers: Mapping[int, int]) -> Draft:
    before: dict[int, list[int]] = {}
    for id, others in draft.before.items():
        waits = before.setdefault(numbers[id], [])
        waits += [numbers[o] for o in others if numbers[o] != numbers[id]]
    steps = [replace(step, id=k) for k, step in enumerate(kept)]
    return replace(draft, steps=steps, before=before)


def _runs(draft: Draft, writers: frozenset[int], homes: Homes) -> list[list[Step]]:
    """Steps that can be joined, in the order of their variables, cut where one does not follow.

    Nothing waits for any of them: else what waits for one could be what another one waits for.
    """
    families: dict[object, list[Step]] = {}
    waited_for = {before for befores in draft.waits() for before in befores}
    placed: set[int] = set()  # storages that a row will hold: a storage lies in one row only
    for number in sorted(writers):
        step = draft.steps[number]
        ours = {p.storage for p in step.operands if draft.in_arena(p.storage)}
        if number not in waited_for and _can_join(draft, step) and not ours & placed:
            families.setdefault(_family(draft, step), []).append(step)
            placed |= {p.storage for p in _wide(step) if draft.in_arena(p.storage)}
    runs: list[list[Step]] = []
    for family in families.values():
        family.sort(key=lambda step: _addresses(draft, step, homes))
        runs.append(family[:1])
        for step, following in pairwise(family):
            if not _follows(draft, step, following, homes):
                runs.append([])
            runs[-1].append(following)
    return runs


def _can_join(draft: Draft, step: Step) -> bool:
    """Whether a step works element by element on variables and on whole values."""
    if step.expression is None or any(line.op in ROW_OPS for line in step.expression.lines):
        return False
    wide = [*_wide(step), *step.results]
    size, width = wide[0].type.size, wide[0].type.storage.itemsize
    if size == 1 or any((p.type.size, p.type.storage.itemsize) != (size, width) for p in wide):
        return False
    shared = [p for p in step.operands if p not in wide and p.type.size != 1]
    whole = all(
        (p.offset, p.type.bytes) == (0, draft.storages[p.storage].bytes) for p in wide
    )
    return not shared and whole and not any(draft.in_arena(p.storage) for p in step.results)


def _wide(step: Step) -> list[Place]:
    """The operands that have an element for each of the result's."""
    return [p for p in step.operands if p.type.size == step.results[0].type.size]


def _family(draft: Draft, step: Step) -> object:
    """What steps must have in common to be joined: lines, dtypes, and the numbers they share."""
    operands = tuple(
        (p.type.dtype, draft.in_arena(p.storage)) if p in _wide(step) else p for p in step.operands
    )
    return (step.attrs["lines"], operands, tuple(p.type.dtype for p in step.results))


def _addresses(draft: Draft, step: Step, homes: Homes) -> list[Address]:
    """Where the variables lie that a step reads and writes."""
    places = [*_wide(step), *step.results]
    names = [draft.storages[p.storage].home for p in places]
    return [homes[name] for name in names if name is not None]


def _follows(draft: Draft, step: Step, following: Step, homes: Homes) -> bool:
    """Whether each variable of a step lies right behind that of the step before."""
    stride = _aligned(step.results[0].type.bytes)
    pairs = zip(_addresses(draft, step, homes), _addresses(draft, following, homes), strict=True)
    return all((space, at + stride) == other for (space, at), other in pairs)


def _join(draft: Draft, run: Sequence[Step]) -> Step:
    first = run[0]
    stretch = sum(_aligned(step.results[0].type.bytes) for step in run[:-1])
    elements = stretch // first.results[0].type.storage.itemsize
    size = elements + int(run[-1].results[0].type.size)  # type: ignore[arg-type]

    def flat(place: Place) -> Place:
        return replace(place, type=TensorType(place.type.dtype, (size,)))

    wide = _wide(first)
    operands = tuple(flat(p) if p in wide else p for p in first.operands)
    results = tuple(flat(p) for p in first.results)
    types = tuple(p.type for p in operands), tuple(p.type for p in results)
    return replace(
        first,
        attrs={**first.attrs, "shape": (size,)},
        operands=operands,
        results=results,
        scratch_bytes=fused_scratch_bytes(first.attrs["lines"], *types, (size,)),
        joined=tuple(p.storage for step in run[1:] for p in step.operands),
        rewritten=tuple(p.storage for step in run[1:] for p in step.results),
    )


def _rows(draft: Draft, run: Sequence[Step]) -> list[tuple[int, ...]]:
    columns = zip(*(_wide(step) for step in run), strict=True)
    return [
        tuple(p.storage for p in column) for column in columns if draft.in_arena(column[0].storage)
    ]


def _aligned(bytes: int) -> int:
    return -(-bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
