"""What in a training goes by the clock and not by steps."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], float]  # seconds, from some beginning


class Throttle:
    """`ready` is true once every `seconds`, first when the first of them have passed."""

    def __init__(self, seconds: float, clock: Clock = time.monotonic):
        self._seconds = seconds
        self._clock = clock
        self._next = clock() + seconds

    def ready(self) -> bool:
        now = self._clock()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


class Speed:
    """Steps per second since the last time it was asked."""

    def __init__(self, step: int, clock: Clock = time.monotonic):
        self._clock = clock
        self._step, self._time = step, clock()

    def at(self, step: int) -> float | None:
        """None where no time has passed that the clock can tell."""
        now = self._clock()
        steps, seconds = step - self._step, now - self._time
        self._step, self._time = step, now
        return steps / seconds if seconds > 0 else None
