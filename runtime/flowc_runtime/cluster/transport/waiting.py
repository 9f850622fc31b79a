"""Waiting for another process: first awake, since payloads come soon, then asleep until it rings.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from flowc_runtime.cluster.transport.bell import Bell, sleep

AWAKE_SECONDS = 20e-6  # a peer on another core answers within that, or needs its core
YIELDING_SECONDS = 1e-3  # then the core is offered to others between two looks
ASLEEP_SECONDS = 5e-3  # between two looks whether there is still anything to wait for
SHORTEST_SLEEP, LONGEST_SLEEP = 50e-6, 500e-6  # where nothing rings

Bells = Callable[[], Sequence[Bell]]  # those of which one rings when what is missing comes
yield_core: Callable[[], object] = getattr(os, "sched_yield", lambda: time.sleep(0))


def wait_until(
    ready: Callable[[], bool], deadline: float, bells: Bells, crowded: bool
) -> bool:
    """Looks until `ready` is true; false once `time.monotonic()` has passed the deadline.

    Where tasks are `crowded`, who is not asleep takes a core from those who work.
    """
    if ready():
        return True
    began = time.monotonic()
    awake = AWAKE_SECONDS if crowded else YIELDING_SECONDS
    pause = SHORTEST_SLEEP
    while not ready():
        waited = time.monotonic() - began
        if waited < AWAKE_SECONDS:
            continue
        if waited < awake:
            yield_core()
            continue
        if began + waited > deadline:
            return False
        if not (ringing := bells()):
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_SLEEP)
            continue
        seen = [bell.seen() for bell in ringing]
        if not ready():
            sleep(ringing, seen, ASLEEP_SECONDS)
    return True
