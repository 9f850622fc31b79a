"""Shards of a batch: who computes which, and the tree in whose order their gradients are summed.

The tree over `count` leaves is the left-complete one: of n leaves the largest power of two that is
smaller than n goes left. It depends on the number of shards only. A replica computes consecutive
shards and sums the largest subtrees that lie within them; whoever has all subtrees finishes the
sum. Each addition is one of the tree's, so the bits are the same for any assignment.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
Range = tuple[int, int]  # shards from the first number up to the second


def assign(shards: int, replicas: int) -> tuple[Range, ...]:
    """Consecutive shards for each replica, as even as can be; the first ones take the rest.

    A replica beyond the number of shards gets none.
    """
    each, rest = divmod(shards, replicas)
    starts = [r * each + min(r, rest) for r in range(replicas + 1)]
    return tuple(zip(starts, starts[1:], strict=False))


def subtrees(mine: Range, shards: int) -> tuple[Range, ...]:
    """The largest subtrees of the tree over `shards` leaves that lie within `mine`, in order."""
    start, stop = mine

    def below(node: Range) -> list[Range]:
        low, high = node
        if high <= start or stop <= low:
            return []
        if start <= low and high <= stop:
            return [node]
        middle = _middle(node)
        return below((low, middle)) + below((middle, high))

    return tuple(below((0, shards))) if shards else ()


def is_subtree(node: Range, shards: int) -> bool:
    return subtrees(node, shards) == (node,)


def joins(mine: Range, shards: int) -> tuple[int, ...]:
    """For each of my shards in order, how many additions follow once it lies on the stack.

    A replica keeps a stack of finished subtrees: it puts a shard's gradient on top, and as often
    as said here adds the top one to the one below. At the end the stack holds `subtrees(mine)`.
    """
    counts: list[int] = []
    stack: list[Range] = []
    for shard in range(*mine):
        stack.append((shard, shard + 1))
        added = 0
        while len(stack) > 1 and is_subtree((stack[-2][0], stack[-1][1]), shards):
            top = stack.pop()
            stack[-1] = (stack[-1][0], top[1])
            added += 1
        counts.append(added)
    return tuple(counts)


def stack_depth(mine: Range, shards: int) -> int:
    """How many subtrees lie on the stack at once, at most."""
    depth = peak = 0
    for added in joins(mine, shards):
        depth += 1
        peak = max(peak, depth)
        depth -= added
    return peak


def fold(held: Sequence[tuple[Range, T]], shards: int, add: Callable[[T, T], T]) -> T:
    """The value of the whole tree from those of subtrees that cover it; `add(left, right)`."""
    values = dict(held)

    def value(node: Range) -> T:
        if node in values:
            return values[node]
        middle = _middle(node)
        return add(value((node[0], middle)), value((middle, node[1])))

    return value((0, shards))


def shard_seed(seed: int, shard: int) -> int:
    """The seed of a shard's random values: shards draw different ones, the first as if alone."""
    if shard == 0:
        return seed
    digest = hashlib.sha256(f"{seed} shard {shard}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _middle(node: Range) -> int:
    low, high = node
    return low + (1 << (high - low - 1).bit_length() - 1)
