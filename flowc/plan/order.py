"""A linear order of the steps: dependencies first, and of several candidates the least memory."""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence

from flowc.plan.steps import Draft
from flowc.plan.updates import closure

MAX_GREEDY_STEPS = 2_000  # above it the search for the best next step takes too long

Order = list[int]
Waits = list[list[int]]  # for each step those that must come before it


def linear_order(draft: Draft, last: Iterable[int], in_order: bool = False) -> tuple[int, ...]:
    """The steps in an order that keeps every dependency; `last` and what needs them at the end.

    Three orders are tried: the graph's, each step just before its first use, and the step that
    frees most. The first of those with the lowest sum of live bytes at its peak is taken; with
    `in_order` it is the graph's.
    """
    waits = draft.waits()
    late = closure(last, _followers(waits))
    early = [s for s in range(len(waits)) if s not in late]
    candidates: list[Order] = []
    for way in (_as_listed,) if in_order else (_as_listed, _before_use, _greedy):
        first = way(draft, waits, early, [])
        candidates.append(first + way(draft, waits, sorted(late), first))
    assert all(len(order) == len(waits) for order in candidates), "the steps wait in a circle"
    peaks = [peak_bytes(draft, order) for order in candidates]
    return tuple(candidates[peaks.index(min(peaks))])


def peak_bytes(draft: Draft, order: Sequence[int]) -> int:
    """The largest sum of the arena bytes that are live at once (without in-place reuse)."""
    live = _Live(draft)
    return max((live.run(step) for step in order), default=live.bytes)


def _as_listed(draft: Draft, waits: Waits, steps: Order, already: Order) -> Order:
    """The smallest number first, of the steps that are ready."""
    chosen = set(steps)
    missing = {s: sum(b in chosen for b in waits[s]) for s in steps}
    followers = _followers(waits)
    ready = [s for s in steps if not missing[s]]
    heapq.heapify(ready)
    order: Order = []
    while ready:
        order.append(heapq.heappop(ready))
        for follower in followers[order[-1]]:
            if follower in missing:
                missing[follower] -= 1
                if not missing[follower]:
                    heapq.heappush(ready, follower)
    return order


def _before_use(draft: Draft, waits: Waits, steps: Order, already: Order) -> Order:
    """Depth first from the steps that nobody waits for, so that nothing is computed too early."""
    chosen, done, order = set(steps), set[int](), []
    waited_for = {before for s in steps for before in waits[s]}
    for root in (s for s in steps if s not in waited_for):
        todo = [(root, False)]
        while todo:
            step, ready = todo.pop()
            if ready:
                order.append(step)
            elif step not in done:
                done.add(step)
                todo.append((step, True))
                todo += [(b, False) for b in reversed(waits[step]) if b in chosen and b not in done]
    return order


def _greedy(draft: Draft, waits: Waits, steps: Order, already: Order) -> Order:
    """Always the ready step that adds the fewest live bytes."""
    if len(steps) > MAX_GREEDY_STEPS:
        return _as_listed(draft, waits, steps, already)
    chosen, live = set(steps), _Live(draft)
    for step in already:
        live.run(step)
    missing = {s: sum(b in chosen for b in waits[s]) for s in steps}
    followers = _followers(waits)
    ready = [s for s in steps if not missing[s]]
    order: Order = []
    while ready:
        best = min(ready, key=lambda s: (live.growth(s), s))
        ready.remove(best)
        live.run(best)
        order.append(best)
        for follower in followers[best]:
            if follower in missing:
                missing[follower] -= 1
                if not missing[follower]:
                    ready.append(follower)
    return order


class _Live:
    """Counts the arena bytes that are live while steps run one after the other."""

    def __init__(self, draft: Draft):
        self.draft = draft
        self.reads = [step.reads for step in draft.steps]
        self.left = {s: len(readers) for s, readers in draft.readers().items()}
        self.bytes = sum(
            draft.storages[p.storage].bytes
            for p in draft.inputs.values()
            if draft.in_arena(p.storage)
        )
        self._allocated = [self._results(k, wasted=False) for k in range(len(draft.steps))]
        self._stays = [
            bytes - self._results(k, wasted=True) for k, bytes in enumerate(self._allocated)]
        self._ends = [self._may_end(reads) for reads in self.reads]

    def growth(self, step: int) -> int:
        """Bytes that are live after the step and were not before it."""
        left = self.left
        freed = sum([bytes for storage, bytes in self._ends[step] if left[storage] == 1])
        return self._stays[step] - freed

    def run(self, step: int) -> int:
        """Runs a step; the bytes live during it."""
        during = self.bytes + self._allocated[step] + self.draft.steps[step].scratch_bytes
        self.bytes += self.growth(step)
        for storage in self.reads[step]:
            self.left[storage] -= 1
        return during

    def _results(self, step: int, wasted: bool) -> int:
        """Bytes in the arena that a step writes, or those of them that nobody wants."""
        storages = (self.draft.storages[p.storage] for p in self.draft.steps[step].results)
        return sum(
            s.bytes for s in storages
            if s.home is None and not (wasted and (s.id in self.left or s.kept))
        )

    def _may_end(self, reads: Collection[int]) -> list[tuple[int, int]]:
        """What a step reads and somebody reads last, with its bytes."""
        storages = (self.draft.storages[number] for number in reads)
        return [(s.id, s.bytes) for s in storages if s.home is None and not s.kept]


def _followers(waits: Waits) -> list[list[int]]:
    followers: list[list[int]] = [[] for _ in waits]
    for step, befores in enumerate(waits):
        for before in befores:
            followers[before].append(step)
    return followers
