"""What makes the coordinator doubt: peers that cannot be reached, generations that lead nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from flowc_runtime.cluster.coordinator.events import Limits


@dataclass(frozen=True, slots=True)
class Doubt:
    """Since a time, as a witness says."""

    since: float
    witness: str
    why: str


class Doubts:
    """By task. A sign of life settles a doubt, and silence does too."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._doubts: dict[str, Doubt] = {}

    def raise_(self, peer: str, doubt: Doubt) -> None:
        self._doubts.setdefault(peer, doubt)

    def settle(self, peer: str) -> Doubt | None:
        return self._doubts.pop(peer, None)

    def clear(self) -> None:
        self._doubts.clear()

    def overdue(self, now: float) -> Iterator[tuple[str, Doubt]]:
        for peer, doubt in tuple(self._doubts.items()):
            if now - doubt.since > self._limits.doubt and peer in self._doubts:
                yield peer, doubt

    def shift(self, seconds: float) -> None:
        self._doubts = {
            peer: replace(doubt, since=doubt.since + seconds)
            for peer, doubt in self._doubts.items()
        }


class Attempts:
    """Generations since the last step was done."""

    def __init__(self, limits: Limits):
        self._limits = limits
        self._count = 0
        self._since: float | None = None  # the last step, or the first generation

    def again(self, now: float) -> None:
        self._count += 1
        self._since = now if self._since is None else self._since

    def step(self, now: float) -> None:
        self._count, self._since = 0, now

    def hopeless(self, most: int, now: float) -> bool:
        """Whether there were more than so many, over a time that should have been enough."""
        waited = now - (self._since if self._since is not None else now)
        return self._count > most and waited > self._limits.fruitless_for
