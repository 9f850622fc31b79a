"""Shards: dealt out evenly, and summed to the same bits whoever computes which."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowc_runtime.cluster.shards import (
    assign,
    fold,
    joins,
    shard_seed,
    stack_depth,
    subtrees,
)
from flowc_runtime.cluster.work.sums import PartialSums, TotalSum

COUNTS = st.integers(1, 40)


@given(COUNTS, st.integers(1, 12))
def test_every_shard_is_dealt_out_once_and_evenly(shards: int, replicas: int) -> None:
    ranges = assign(shards, replicas)
    assert [s for r in ranges for s in range(*r)] == list(range(shards))
    sizes = [stop - start for start, stop in ranges]
    assert max(sizes) - min(sizes) <= 1


@given(COUNTS, st.integers(1, 12))
def test_the_additions_are_those_of_one_tree_for_any_number_of_replicas(
    shards: int, replicas: int
) -> None:
    alone = _added(shards, 1)
    assert _added(shards, replicas) == alone


def _added(shards: int, replicas: int) -> str:
    """The whole sum, written with brackets."""
    held = []
    for mine in assign(shards, replicas):
        stack: list[str] = []
        for shard, added in zip(range(*mine), joins(mine, shards), strict=True):
            stack.append(str(shard))
            for _ in range(added):
                top = stack.pop()
                stack[-1] = f"({stack[-1]}+{top})"
        held += list(zip(subtrees(mine, shards), stack, strict=True))
    return fold(held, shards, lambda left, right: f"({left}+{right})")


@given(COUNTS, st.integers(1, 12), st.integers(0, 2**32 - 1))
def test_sums_in_float32_have_the_same_bits_for_any_number_of_replicas(
    shards: int, replicas: int, seed: int
) -> None:
    values = np.random.default_rng(seed).standard_normal((shards, 3)).astype(np.float32)
    assert _summed(values, replicas).tobytes() == _summed(values, 1).tobytes()


def _summed(values: np.ndarray, replicas: int) -> np.ndarray:
    shards = len(values)
    ranges = [r for r in assign(shards, replicas) if r[0] < r[1]]
    parts = []
    for mine in ranges:
        source = np.empty(3, np.float32)
        sums, stack = PartialSums(mine, shards, [source]), np.zeros((shards, 3), np.float32)
        for number, shard in enumerate(range(*mine)):
            source[:] = values[shard]
            sums.add(number, lambda level, stack=stack: [stack[level]])  # type: ignore[misc]
        parts += [stack[k] for k in range(len(subtrees(mine, shards)))]
    total, target = TotalSum(ranges, shards), np.empty(3, np.float32)
    total.into(target, parts, [np.empty(3, np.float32) for _ in range(total.levels)])
    return target


@given(COUNTS, st.integers(1, 12))
def test_a_stack_holds_no_more_than_it_was_given_room_for(shards: int, replicas: int) -> None:
    for mine in assign(shards, replicas):
        assert stack_depth(mine, shards) <= max(1, shards.bit_length() * 2) or mine[0] == mine[1]
        assert len(subtrees(mine, shards)) <= stack_depth(mine, shards)


def test_the_first_shard_draws_the_random_values_of_a_batch_that_is_not_cut() -> None:
    assert shard_seed(7, 0) == 7


def test_shards_draw_different_random_values() -> None:
    assert len({shard_seed(7, shard) for shard in range(100)}) == 100


@pytest.mark.parametrize("replicas", [1, 2, 3])
def test_more_replicas_than_shards_leave_some_without(replicas: int) -> None:
    assert sum(start < stop for start, stop in assign(2, replicas)) == min(2, replicas)
