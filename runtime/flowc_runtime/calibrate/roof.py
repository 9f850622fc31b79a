"""What this machine can do at most, for whatever is held against it (Williams et al. 2009,
"Roofline: an insightful visual performance model")."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

SIDE = 1024  # of the matrices: 3 of them are 12 MB, the product 2.1 GFLOP
TRIAD_BYTES = 1 << 26  # of each of three arrays: more than caches hold


@dataclass(frozen=True)
class Roof:
    """Of products of large f32 matrices, FLOP a second; of memory, bytes read and written."""

    flops: float
    bytes: float

    def seconds(self, flops: int, bytes: int) -> float:
        """What work takes at least, where nothing of it is in a cache."""
        return max(flops / self.flops, bytes / self.bytes)


def measure_roof(seconds: float) -> Roof:
    """About so many seconds, with the threads that NumPy's BLAS is set to; memory with one."""
    random = np.random.default_rng(1)
    a, b = (random.standard_normal((SIDE, SIDE), np.float32) for _ in range(2))
    product = np.empty_like(a)
    x, y = (np.ones(TRIAD_BYTES // 4, np.float32) for _ in range(2))
    total = np.empty_like(x)
    return Roof(
        2 * SIDE**3 / _fastest(lambda: np.matmul(a, b, out=product), seconds / 2),
        3 * TRIAD_BYTES / _fastest(lambda: np.add(x, y, out=total), seconds / 2),
    )


def _fastest(call: Callable[[], object], seconds: float) -> float:
    """Seconds of the fastest call: others on the machine only ever make it slower."""
    call()
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        began = time.perf_counter()
        call()
        now = time.perf_counter()
        best = min(best, now - began)
        if now > end:
            return best
