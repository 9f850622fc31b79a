"""Virtual time, and what may go wrong between two places."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from itertools import count

MAX_EVENTS = 200_000  # of a run; none comes near


class Endless(Exception):
    """The run does not come to an end."""


class World:
    """`after` schedules; `run` lets time pass. `seed` decides all that is random."""

    def __init__(self, seed: int):
        self.now = 0.0
        self.random = random.Random(seed)
        self.over = False
        self.late = self.random.choice((0.0, 0.02, 0.02, 0.3))  # share of messages that take long
        self.cut: set[str] = set()  # tasks that nothing gets to, and nothing from
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (self.now + seconds, next(self._numbers), call))

    def soon(self) -> float:
        """What a message takes: mostly little, some more."""
        chance = self.random.random()
        return 0.0002 + 0.002 * chance if chance >= self.late else 0.4 * self.random.random()

    def apart(self, a: str, b: str) -> bool:
        """Whether two tasks cannot reach each other."""
        return a != b and (a in self.cut or b in self.cut)

    def run(self, until: float) -> None:
        """Until somebody says that it is over; raises Endless after so many seconds."""
        for _ in range(MAX_EVENTS):
            if self.over or not self._heap:
                return
            self.now, _, call = heapq.heappop(self._heap)
            if self.now > until:
                raise Endless(f"not at an end after {until:g} s of virtual time")
            call()
        raise Endless(f"not at an end after {MAX_EVENTS} events")
