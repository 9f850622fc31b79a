"""A training of whole numbers that shows every mistake: a step left out, done twice, or mixed up.

The variables of an owner are one number. A gradient depends on the step, on the shard, and on all
variables as they were before the step; the update on all gradients. No two histories of steps
come to the same number, but by chance in 2^61.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache

MODULUS = (1 << 61) - 1


def mixed(*numbers: int) -> int:
    value = 0x9E3779B97F4A7C15
    for number in numbers:
        value = (value * 6364136223846793005 + number + 1) % MODULUS
    return value


def first_value(owner: int) -> int:
    return mixed(owner)


def gradient(step: int, shards: Iterable[int], owner: int, variables: Mapping[int, int]) -> int:
    """Summed over shards, for the variables of one owner."""
    before = mixed(*(variables[k] for k in sorted(variables)))
    return sum(mixed(step, shard, owner, before) for shard in shards) % MODULUS


def update(value: int, step: int, total: int) -> int:
    return mixed(value, step, total)


@cache
def undisturbed(step: int, owners: int, shards: int) -> Mapping[int, int]:
    """The variables after a step, as one process alone would have them."""
    if step == 0:
        return {owner: first_value(owner) for owner in range(owners)}
    before = undisturbed(step - 1, owners, shards)
    return {
        owner: update(value, step, gradient(step, range(shards), owner, before))
        for owner, value in before.items()
    }
