"""How a contestant of `peers.py` does steps on demand, in an interpreter of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable


def serve(steps: Callable[[int], object]) -> None:
    """Reads a number of steps from each line of the input, does them, and prints their seconds."""
    for line in sys.stdin:
        began = time.perf_counter()
        steps(int(line))
        print(time.perf_counter() - began, flush=True)
