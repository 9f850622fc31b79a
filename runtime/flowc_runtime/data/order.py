"""Random orders that depend on their numbers only, never on what was drawn before."""

from __future__ import annotations

import numpy as np

FIXED = (1 << 64) - 1  # stands in the place of an epoch's number for an order that never changes


def permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    """The numbers 0..size-1 in an order that depends on `seed` and `epoch`: int64[size].

    Ranks of Philox's raw numbers: NumPy keeps those the same from release to release, which
    it does not promise for `Generator.permutation`.
    """
    key = np.array([seed % (1 << 64), epoch], dtype=np.uint64)
    numbers = np.random.Philox(key=key).random_raw(size)
    return np.argsort(numbers, kind="stable").astype(np.int64, copy=False)
