"""The steps that are under way, and what comes out of them."""

from __future__ import annotations

from collections.abc import Mapping

from flowc_runtime.cluster.coordinator.events import Notice
from flowc_runtime.cluster.coordinator.pace import Pace
from flowc_runtime.cluster.coordinator.tallies import Tallies
from flowc_runtime.cluster.messages import Done, Share
from flowc_runtime.cluster.shards import Range


class Window:
    """Steps up to `target`; whose answers came stays known until the next window begins."""

    def __init__(self, pace: Pace):
        self._pace = pace
        self.tallies = Tallies()
        self.target = 0
        self._began = (0, 0.0)  # after which step, and when
        self._done: dict[str, Done] = {}

    def begin(self, after: int, until: int, now: float) -> None:
        self.target = min(until, after + self._pace.window())
        self._began = (after, now)
        self._done.clear()

    def answer(self, task: str, done: Done) -> None:
        self._done[task] = done

    def outputs_at(self, step: int) -> tuple[Share, ...]:
        """What the members said of the step, as far as they did."""
        return tuple(s for done in self._done.values() if done.step == step for s in done.shares)

    def end(self, ranges: Mapping[str, Range], now: float) -> list[Notice]:
        """All answers are there; tells of workers that are slow. `ranges`: by task its shards."""
        after, began = self._began
        self._pace.add(self.target - after, now - began)
        computing = {
            task: done.computing / (stop - start)
            for task, done in self._done.items()
            for start, stop in (ranges[task],)
            if stop > start
        }
        messages = [self._pace.slow(computing)]
        for task, done in self._done.items():
            self.tallies.add(task, done.counts)
        for counts in self.tallies.current.values():
            messages.append(self._pace.dropped(counts.task, counts.applied, counts.dropped))
        return [Notice("task-slow", message) for message in messages if message]
