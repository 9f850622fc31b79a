"""Waiting for another process: first awake, since payloads come soon, then ever more drowsily."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

AWAKE_SECONDS = 20e-6  # a peer on another core answers within that, or needs its core
YIELDING_SECONDS = 1e-3  # then the core is offered to others between two looks
SHORTEST_SLEEP, LONGEST_SLEEP = 50e-6, 500e-6

yield_core: Callable[[], object] = getattr(os, "sched_yield", lambda: time.sleep(0))


def wait_until(ready: Callable[[], bool], deadline: float) -> bool:
    """Looks until `ready` is true; false once `time.monotonic()` has passed the deadline."""
    if ready():
        return True
    began = time.monotonic()
    pause = SHORTEST_SLEEP
    while not ready():
        waited = time.monotonic() - began
        if waited < AWAKE_SECONDS:
            continue
        if waited < YIELDING_SECONDS:
            yield_core()
            continue
        if began + waited > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_SLEEP)
    return True
