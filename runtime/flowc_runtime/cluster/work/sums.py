"""Sums over shards in the order of their tree: mine on a stack, then everybody's together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from flowc_runtime.cluster.shards import Range, fold, joins, subtrees
from flowc_runtime.ops.op import Array

Tensors = Sequence[Array]


class PartialSums:
    """Adds up the gradients of consecutive shards on a stack of subtrees (see `shards.joins`)."""

    def __init__(self, mine: Range, shards: int, sources: Tensors):
        self._joins = joins(mine, shards)
        self._sources = sources
        self._heights = _heights(self._joins)

    def add(self, shard: int, level: Callable[[int], Tensors]) -> None:
        """Shard number `shard` of mine is done; `level(k)` are the tensors of stack place k."""
        top, added = self._heights[shard], self._joins[shard]
        if not added:
            _copy(level(top), self._sources)
            return
        _add(level(top - 1), level(top - 1), self._sources)
        for k in range(1, added):
            _add(level(top - 1 - k), level(top - 1 - k), level(top - k))


def _heights(joins: Sequence[int]) -> list[int]:
    """Where on the stack each shard's gradient is put."""
    heights, height = [], 0
    for added in joins:
        heights.append(height)
        height += 1 - added
    return heights


def _copy(targets: Tensors, sources: Tensors) -> None:
    for target, source in zip(targets, sources, strict=True):
        np.copyto(target, source)


def _add(targets: Tensors, lefts: Tensors, rights: Tensors) -> None:
    for target, left, right in zip(targets, lefts, rights, strict=True):
        np.add(left, right, out=target)


class TotalSum:
    """The sum over all shards from those over subtrees, which several replicas hold.

    `ranges` are the replicas' shards in order; each holds the subtrees of its range.
    """

    def __init__(self, ranges: Sequence[Range], shards: int):
        held = [node for mine in ranges for node in subtrees(mine, shards)]
        self._order = _order(held, shards)
        self.count = len(held)
        self.levels = max((out for _, _, out in self._order), default=0)

    def into(self, target: Array, parts: Sequence[Array], spare: Sequence[Array]) -> None:
        """Adds the parts (one a subtree, in order) into `target`.

        `spare` has `levels` more arrays like it.
        """
        if not self._order:
            np.copyto(target, parts[0])
            return
        places = (target, *spare)

        def value(place: int) -> Array:
            return parts[place] if place >= 0 else places[-1 - place]

        for left, right, out in self._order:
            np.add(value(left), value(right), out=places[out])


def _order(held: Sequence[Range], shards: int) -> tuple[tuple[int, int, int], ...]:
    """The additions as (left, right, out): parts count from 0, places are -1, -2, ….

    The left operand of an addition is built where its result goes, the right one a place further.
    """
    ops: list[tuple[int, int, int]] = []
    Build = Callable[[int], int]  # given the place to use, the place or part where the value is

    def leaf(number: int) -> Build:
        return lambda place: number

    def join(left: Build, right: Build) -> Build:
        def build(place: int) -> int:
            first = left(place)
            # A left operand that is a part needs no place, and leaves it to the right one.
            second = right(place if first >= 0 else place + 1)
            ops.append((first, second, place))
            return -1 - place

        return build

    fold([(node, leaf(k)) for k, node in enumerate(held)], shards, join)(0)
    return tuple(ops)
