"""Stages that the compiler cuts: as good as the best of all cuts."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from flowc.place.balance import cut

SECONDS = st.integers(0, 20)


def slowest(seconds: np.ndarray, sending: np.ndarray, cuts: tuple[int, ...]) -> float:
    ends = [0, *cuts, len(seconds)]
    return max(float(seconds[a:b].sum() + sending[a] + sending[b]) for a, b in pairwise(ends))


@given(st.data(), st.integers(1, 4))
def test_no_other_cut_has_a_faster_slowest_stage(data: st.DataObject, count: int) -> None:
    length = data.draw(st.integers(count, 9))
    seconds = np.array([data.draw(SECONDS) for _ in range(length)], float)
    sending = np.array([0, *(data.draw(SECONDS) for _ in range(length - 1)), 0], float)
    found = cut(seconds, sending, count)
    assert len(found) == count - 1
    assert all(a < b for a, b in pairwise([0, *found, length]))
    best = min(slowest(seconds, sending, c) for c in combinations(range(1, length), count - 1))
    assert slowest(seconds, sending, tuple(found)) == best
