"""The cores of a host, as its system gives them to tasks: few switches, turns of some length."""

from __future__ import annotations

from collections.abc import Callable

from flowc_runtime.cluster.transport.waiting import AWAKE_SECONDS

TURN_SECONDS = 3e-3  # of a core, while others want it: about Linux's slice and tick
EPSILON = 1e-12


class Cores:
    """Who has a core, since when, and who wants one.

    `switch_seconds` pass until a core that one task has given up is at work for another.
    A task that waits keeps its core while it looks for its payload awake, and longer if nobody
    else wants it. One that works is sent off after a turn, or at once for one that was asleep.
    """

    def __init__(self, count: int, switch_seconds: float):
        self.count = max(1, count)
        self._switch_seconds = switch_seconds
        self._since: dict[str, float] = {}  # by holder: when it began, or will begin, to work
        self._wanted: list[str] = []

    def has(self, task: str, now: float) -> bool:
        """Whether the task works on a core."""
        return task in self._since and self._since[task] <= now + EPSILON

    def want(self, task: str, urgent: bool) -> None:
        """The task is ready to work."""
        if task in self._since or task in self._wanted:
            return
        if urgent:
            self._wanted.insert(0, task)
        else:
            self._wanted.append(task)

    def leave(self, task: str) -> None:
        """The task is done for good."""
        self._since.pop(task, None)

    def deal(
        self, now: float, waits_since: Callable[[str], float | None],
        urgent: Callable[[str], bool],
    ) -> bool:
        """Gives cores to those who want them; whether anybody got one.

        `waits_since` says of a holder since when it waits, None where it works.
        """
        dealt = False
        while self._wanted:
            begins = now
            if len(self._since) >= self.count:
                loser = self._loser(now, waits_since, urgent(self._wanted[0]))
                if loser is None:
                    break
                del self._since[loser]
                if waits_since(loser) is None:
                    self._wanted.append(loser)
                begins += self._switch_seconds
            self._since[self._wanted.pop(0)] = begins
            dealt = True
        return dealt

    def _loser(
        self, now: float, waits_since: Callable[[str], float | None], urgent: bool
    ) -> str | None:
        """Who has to give its core away now, if anybody has."""
        ending = {task: self._ends(task, waits_since, urgent) for task in self._since}
        first = min(ending, key=lambda task: ending[task])
        return first if ending[first] <= now + EPSILON else None

    def _ends(
        self, task: str, waits_since: Callable[[str], float | None], urgent: bool
    ) -> float:
        waits = waits_since(task)
        if waits is not None:
            return waits + AWAKE_SECONDS
        return self._since[task] + (0.0 if urgent else TURN_SECONDS)

    def next_change(
        self, now: float, waits_since: Callable[[str], float | None]
    ) -> float | None:
        """When somebody begins to work, or a core will be free for who wants one; or never."""
        moments = [begins for begins in self._since.values() if begins > now + EPSILON]
        if self._wanted:
            moments += [self._ends(task, waits_since, False) for task in self._since]
        return min(moments, default=None)
