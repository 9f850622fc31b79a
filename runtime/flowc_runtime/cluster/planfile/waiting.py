"""No deadlock: some steps of all tasks, with nothing in them but waiting.

What a task does in a step is a straight list, and each list is the same for all steps. So a few
steps of a few replicas show whether they ever wait for each other in a circle: a channel has two
slots, so nobody gets more than two payloads ahead.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flowc_runtime.cluster.exchange import SLOTS
from flowc_runtime.cluster.plan import ClusterPlan, TaskName, tasks_of
from flowc_runtime.cluster.planfile.promises import BrokenPromise
from flowc_runtime.cluster.work.boxes import incoming, outgoing
from flowc_runtime.cluster.work.table import (
    Op,
    Publish,
    Ranges,
    SendValues,
    SendVariables,
    Sum,
    SumSlice,
    TakeSlices,
    TakeValues,
    TakeVariables,
    means_of,
    step_table,
)

STEPS = 3
REPLICAS_MAX = 3  # that are looked at: more of them do the same
STAGES_MAX = 6  # each of which may be a shard ahead of the next
SHARDS_MORE = 2  # of a replica, than it has under way at once


def check_waiting(plan: ClusterPlan) -> None:
    """Raises BrokenPromise `deadlock`. Where workers run on, nobody waits in a circle.

    A training goes on when replicas are lost, so fewer of them are looked at too.
    """
    if plan.sync.loose:
        return
    for replicas in range(1, min(REPLICAS_MAX, max(p.replicas for p in plan.parts)) + 1):
        _Trial(_smaller(plan, replicas)).run()


def _smaller(plan: ClusterPlan, replicas: int) -> ClusterPlan:
    parts = tuple(replace(p, replicas=min(p.replicas, replicas)) for p in plan.parts)
    stages = sum(p.role.startswith("stage:") for p in plan.parts)
    shards = min(plan.shards, replicas * (SHARDS_MORE + min(stages, STAGES_MAX)))
    return replace(plan, parts=parts, shards=shards, batch=shards)


class _Trial:
    """Who has done how much, and which payloads are there."""

    def __init__(self, plan: ClusterPlan):
        self._tasks = tasks_of(plan)
        ranges: Ranges = {
            str(TaskName(part.role, r)): mine
            for part in plan.parts
            for r, mine in enumerate(plan.dealt(part.role, part.replicas))
        }
        self._tables = {str(t): step_table(plan, t, ranges) for t in self._tasks}
        self._places = dict.fromkeys(self._tables, 0)
        self._published: dict[tuple[str, str], int] = {}  # by channel and producer
        self._takers: dict[tuple[str, str], list[str]] = {}
        self._taken: dict[tuple[str, str, str], int] = {}
        self._sources: dict[tuple[str, str], list[str]] = {}  # by channel and consumer
        for task in self._tasks:
            me = str(task)
            for out in outgoing(plan, task, ranges):
                self._published[out.name, me] = 0
                self._takers[out.name, me] = list(out.consumers)
            for box in incoming(plan, task, ranges):
                self._taken[box.name, box.producer, me] = 0
                self._sources.setdefault((box.name, me), []).append(box.producer)
        for name, producer in self._published:
            if plan.channel(name).kind == "variables":
                self._published[name, producer] = 1  # for the first step

    def run(self) -> None:
        """All steps of all tasks, in whatever order they can go on."""
        moved = True
        while moved:
            moved = any([self._go_on(str(task)) for task in self._tasks])
        stuck = [str(t) for t in self._tasks if self._places[str(t)] < self._length(str(t))]
        if stuck:
            waits = "; ".join(f"{t} at {self._op(t)}" for t in stuck[:4])
            raise BrokenPromise("deadlock", f"all wait for each other: {waits}")

    def _length(self, task: str) -> int:
        return STEPS * len(self._tables[task])

    def _op(self, task: str) -> Op:
        return self._tables[task][self._places[task] % len(self._tables[task])]

    def _go_on(self, task: str) -> bool:
        began = self._places[task]
        while self._places[task] < self._length(task) and self._do(task, self._op(task)):
            self._places[task] += 1
        return self._places[task] > began

    def _do(self, me: str, op: Op) -> bool:
        """Does the operation, unless it has to wait."""
        takes, sends = list(self._takes(me, op)), list(self._sends(me, op))
        if not all(self._published.get((c, p), 0) > self._taken[c, p, me] for c, p in takes):
            return False
        if not all(self._has_slot(c, me) for c in sends):
            return False
        for channel, producer in takes:
            self._taken[channel, producer, me] += 1
        for channel in sends:
            self._published[channel, me] += 1
        return True

    def _takes(self, me: str, op: Op) -> Iterator[tuple[str, str]]:
        match op:
            case TakeVariables(channel, producer) | TakeValues(channel, producer):
                if (channel, producer, me) not in self._taken:
                    raise BrokenPromise(
                        "deadlock", f"{me} waits for `{channel}` of {producer}, who never sends it")
                yield channel, producer
            case Sum(channel) | SumSlice(channel):
                yield from ((channel, p) for p in self._sources.get((channel, me), ()))
            case TakeSlices(channel):
                means = means_of(channel)
                yield from ((means, p) for p in self._sources.get((means, me), ()))

    def _sends(self, me: str, op: Op) -> Iterator[str]:
        match op:
            case SendValues(channel) | SendVariables(channel) | Publish(channel):
                if (channel, me) in self._published:
                    yield channel
            case SumSlice(channel):
                yield means_of(channel)

    def _has_slot(self, channel: str, me: str) -> bool:
        least = min((self._taken[channel, me, c] for c in self._takers[channel, me]), default=0)
        return self._published[channel, me] - least < SLOTS
