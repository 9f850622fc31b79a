"""Whether a phase takes too long, and who is to blame."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from flowc_runtime.cluster.coordinator.events import Limits, Lost, Notice
from flowc_runtime.cluster.coordinator.layout import Layout
from flowc_runtime.cluster.coordinator.pace import Pace
from flowc_runtime.cluster.coordinator.phase import Phase, Stage
from flowc_runtime.cluster.coordinator.roster import Roster
from flowc_runtime.cluster.errors import ClusterError


class Watch:
    """Every wait has its end. `overdue` says who is lost by now; ClusterError if all is."""

    def __init__(self, layout: Layout, roster: Roster, pace: Pace, limits: Limits):
        self._layout = layout
        self._roster = roster
        self._pace = pace
        self._limits = limits
        self._told_waiting = False
        self._progress: tuple[float, int] = (-1.0, -1)  # of a window: when it began, how far it is

    def overdue(
        self, stage: Stage, members: Collection[str], sources: Collection[str], now: float
    ) -> list[Lost]:
        """`sources` give variables to others while the stage is LOADING."""
        waited, quiet, limits = now - stage.entered, now - stage.moved, self._limits
        match stage.phase:
            case Phase.CONFIGURING if waited > limits.configuring:
                return self._lost(stage.awaited, "did not join the others")
            case Phase.LOADING if quiet > limits.moving + self._moving_seconds():
                blamed = stage.awaited | set(sources)
                return self._lost(blamed, "did not take part when variables were handed on")
            case Phase.COLLECTING if quiet > limits.moving:
                return self._lost(stage.awaited, "did not give its variables")
            case Phase.RUNNING:
                return self._stuck(stage, members, now)
        return []

    def gathering(self, waited: float, last_loss: str) -> list[Notice]:
        """While too few tasks are there."""
        missing = self._layout.missing(self._roster.ready)
        if self._roster.formed and waited > self._limits.coming_back:
            raise ClusterError(
                "task-lost",
                f"{missing[0]} has not come back within {self._limits.coming_back:g} s: "
                f"{last_loss}",
                "`--resume` goes on from the last checkpoint once it is there again",
            )
        if self._roster.formed or self._told_waiting or waited <= self._limits.waiting_told:
            return []
        self._told_waiting = True
        return [Notice("task-waited-for", f"waiting for {', '.join(missing)}")]

    def _stuck(self, stage: Stage, members: Collection[str], now: float) -> list[Lost]:
        """In a window without progress: the task that is behind, or else one that computes."""
        progress = (stage.entered, sum(self._roster[t].step for t in members))
        if progress != self._progress:
            self._progress, stage.moved = progress, now
        quiet = now - stage.moved
        if quiet <= self._pace.patience():
            return []
        record = min(
            (self._roster[t] for t in members),
            key=lambda r: (r.blamed, r.step, r.doing.startswith("waiting"),
                           r.name not in self._layout.replica_of),
        )  # fmt: skip
        record.blamed += 1
        at = f" ({record.doing})" if record.doing else ""
        return self._lost((record.name,), f"was stuck for {quiet:.0f} s{at}")

    def _lost(self, tasks: Iterable[str], reason: str) -> list[Lost]:
        return [Lost(t, self._roster[t].life, "task-stuck", reason) for t in sorted(tasks)]

    def _moving_seconds(self) -> float:
        """What the largest group's variables take on a slow link: its end is all that is heard."""
        return max((g.bytes for g in self._layout.groups), default=0) / self._limits.slowest_link
