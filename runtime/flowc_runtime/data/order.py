"""Random orders that depend on their numbers only, never on what was drawn before."""

from __future__ import annotations

import numpy as np

FIXED = (1 << 64) - 1  # stands in the place of an epoch's number for an order that never changes


def permutation(size: int, seed: int, epoch: int) -> np.ndarray:
    """The numbers 0..size-1 in an order that depends on `seed` and `epoch`: int64[size].

    The examples by Philox's raw numbers, of which NumPy keeps the same from release to release,
    which it does not promise for `Generator.permutation`. The lowest bits of each number give way
    to the example's own, so that a plain sort does, and is the same on every machine.
    """
    key = np.array([seed % (1 << 64), epoch], dtype=np.uint64)
    numbers = np.random.Philox(key=key).random_raw(size)
    low = np.uint64((1 << (size - 1).bit_length()) - 1) if size else np.uint64(0)
    numbers &= ~low
    numbers |= np.arange(size, dtype=np.uint64)
    numbers.sort()
    numbers &= low
    return numbers.view(np.int64)
