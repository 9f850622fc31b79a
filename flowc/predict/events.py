"""What a task does in a step, as the simulation sees it: work, waiting, giving and giving back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from flowc.costs import CostModel, Seconds
from flowc_runtime.cluster.plan import GRADIENT, ClusterPlan, Part, TaskName
from flowc_runtime.cluster.shards import joins, subtrees
from flowc_runtime.cluster.work.boxes import outgoing, personal, slice_of
from flowc_runtime.cluster.work.direct import direct_tensors
from flowc_runtime.cluster.work.table import (
    Add,
    Fill,
    Op,
    Publish,
    Ranges,
    Run,
    SendValues,
    SendVariables,
    Sum,
    SumSlice,
    TakeSlices,
    TakeValues,
    TakeVariables,
    means_of,
    replicas_in,
    step_table,
)

OPERATIONS_PER_PAYLOAD = 5  # what a box asks of Python, in operations of a step table
LOOSE_OPERATIONS = 40  # what choosing among gradients and versions asks of it, once a step


@dataclass(frozen=True, slots=True)
class Work:
    """Seconds of a core; `what` is told of the critical path."""

    seconds: Seconds
    what: str


@dataclass(frozen=True, slots=True)
class Number:
    """Which payload of a channel is meant in step k: `each * k + offset`."""

    each: int = 1
    offset: int = 0

    def of(self, step: int) -> int:
        return self.each * step + self.offset


@dataclass(frozen=True, slots=True)
class Take:
    """Wait for a payload."""

    channel: str
    producer: str
    number: Number = Number()


@dataclass(frozen=True, slots=True)
class Release:
    """Give the payload's slot back to its producer."""

    channel: str
    producer: str
    number: Number = Number()


@dataclass(frozen=True, slots=True)
class Open:
    """Wait until the slot of a payload is free."""

    channel: str
    number: Number = Number()


@dataclass(frozen=True, slots=True)
class Give:
    """The payload is there for all who take it."""

    channel: str
    bytes: int
    number: Number = Number()


Event = Work | Take | Release | Open | Give


class Steps:
    """Makes the events of a task from its step table.

    `shared` has the bandwidth in bytes a second of memory that the task shares with others: those
    on its host, by name. What comes over a network is in memory of its own when it is taken.
    """

    def __init__(
        self, plan: ClusterPlan, me: TaskName, ranges: Ranges, costs: CostModel,
        shared: Mapping[str, float],
    ):  # fmt: skip
        self._shared = shared
        self._plan = plan
        self._me = me
        self._ranges = ranges
        self._costs = costs
        self._part: Part = plan.part(me.role)
        self._channels = {c.name: c for c in plan.channels}
        self._mine = ranges[str(me)]
        self._out = {o.name for o in outgoing(plan, me, ranges)}
        self._joins = joins(self._mine, plan.shards)
        self._only: str | None = None

    def events(self) -> tuple[Event, ...]:
        """Those of one step, in order; of an asynchronous ps, those of one step a worker."""
        turns: tuple[str | None, ...] = (None,)
        if self._plan.sync.mode == "async" and self._me.role.startswith("ps:"):
            turns = workers_of(self._ranges)
        return tuple(_joined([event for turn in turns for event in self._turn(turn)]))

    def _turn(self, worker: str | None) -> Iterator[Event]:
        """A step; `worker` is the only one whose gradient is applied in it, if there is one."""
        self._only = worker
        if self._plan.sync.loose:
            yield Work(self._costs.operation.times(LOOSE_OPERATIONS), "operations")
        for op in step_table(self._plan, self._me, self._ranges):
            events = list(self._of(op))
            payloads = sum(isinstance(event, Take | Give) for event in events)
            count = 1 + OPERATIONS_PER_PAYLOAD * payloads
            yield Work(self._costs.operation.times(count), "operations")
            yield from events

    def _of(self, op: Op) -> Iterator[Event]:
        match op:
            case Fill():
                program = self._part.plan.programs[GRADIENT]
                yield Work(self._costs.reading(self._plan.model, program).seconds, "reading")
            case Run(program, start, stop):
                found = self._part.plan.programs[program]
                yield Work(self._costs.program(found, start, stop).seconds, program)
            case TakeVariables(channel, producer):
                own = self._plan.sync.mode == "async"
                box = personal(channel, str(self._me)) if own else channel
                yield Take(box, producer)
                yield self._copy(channel, "copying variables", producer)
                yield Release(box, producer)
            case TakeValues(channel, producer, program, shard):
                number = Number(self._count(program), shard)
                yield Take(channel, producer, number)
                yield self._copy(channel, "copying values", producer)
                yield Release(channel, producer, number)
            case SendValues(channel, program, shard):
                number = Number(self._count(program), shard)
                yield Open(channel, number)
                yield self._copy(channel, "copying values")
                yield Give(channel, self._channels[channel].bytes, number)
            case Add(channel, shard):
                yield from self._add(channel, shard)
            case Publish(channel) if channel in self._out:
                yield Give(channel, self._sums_bytes(channel))
            case Sum(channel):
                yield from self._sum(channel, 1.0)
            case SumSlice(channel):
                yield from self._sum_slice(channel)
            case TakeSlices(channel):
                yield from self._take_slices(channel)
            case SendVariables(channel):
                box = personal(channel, self._only) if self._only else channel
                if self._plan.sync.mode != "backup":  # there nobody is waited for
                    yield Open(box, Number(1, 1))
                yield self._copy(channel, "copying variables")
                yield Give(box, self._channels[channel].bytes, Number(1, 1))

    def _add(self, channel: str, shard: int) -> Iterator[Event]:
        if shard == 0 and channel in self._out:
            yield Open(channel)
        found = self._channels[channel]
        direct = direct_tensors(self._plan, self._me, self._ranges, found)
        left = [t for t in found.tensors if t.name not in direct]
        bytes, added = sum(t.type.bytes for t in left), self._joins[shard]
        if added:
            seconds = self._costs.adding(bytes, len(left)).times(added)
        else:
            seconds = self._costs.copying(bytes, len(left))
        yield Work(seconds, "adding gradients")

    def _sum(self, channel: str, share: float) -> Iterator[Event]:
        """Everybody's partial sums added up: all of them, or a share of their bytes."""
        found = self._channels[channel]
        others = [p for p in replicas_in(self._ranges, found.producer) if p != str(self._me)]
        if self._only is not None:
            others = [self._only]
        counted = others[: len(others) - self._plan.sync.backups]
        for producer in counted:
            yield Take(channel, producer)
        mine = [str(self._me)] if self._me.role == found.producer else []
        additions = self._held([*mine, *counted]) - 1
        bytes, tensors = round(share * found.bytes), len(found.tensors)
        if additions:
            seconds = self._costs.adding(bytes, tensors).times(additions)
        else:
            seconds = self._costs.copying(bytes, tensors)
        yield self._fetching(seconds, bytes, counted, "adding gradients")
        for producer in others:
            yield Release(channel, producer)

    def _sum_slice(self, channel: str) -> Iterator[Event]:
        means = self._channels[means_of(channel)]
        low, high = slice_of(means, str(self._me), self._ranges)
        yield Open(means.name)
        yield from self._sum(channel, (high - low) / max(1, means.bytes))
        yield Give(means.name, high - low)

    def _take_slices(self, channel: str) -> Iterator[Event]:
        means = self._channels[means_of(channel)]
        for producer in replicas_in(self._ranges, means.producer):
            low, high = slice_of(means, producer, self._ranges)
            if producer != str(self._me):
                yield Take(means.name, producer)
            tensors = -(-len(means.tensors) * (high - low) // max(1, means.bytes))
            seconds = self._costs.copying(high - low, tensors)
            yield self._fetching(seconds, high - low, [producer], "copying gradients")
            if producer != str(self._me):
                yield Release(means.name, producer)

    def _copy(self, channel: str, what: str, producer: str = "") -> Work:
        found = self._channels[channel]
        seconds = self._costs.copying(found.bytes, len(found.tensors))
        return self._fetching(seconds, found.bytes, [producer], what)

    def _fetching(
        self, seconds: Seconds, bytes: int, producers: Sequence[str], what: str
    ) -> Work:
        """Work on bytes of each producer, which lie in another core's cache where it is near."""
        near = [bytes / self._shared[p] for p in producers if p in self._shared]
        least = sum(near)
        return Work(Seconds(max(seconds.alone, least), max(seconds.crowded, least)), what)

    def _held(self, replicas: Sequence[str]) -> int:
        """The subtrees whose sums these replicas hold."""
        return sum(len(subtrees(self._ranges[task], self._plan.shards)) for task in replicas)

    def _sums_bytes(self, channel: str) -> int:
        return len(subtrees(self._mine, self._plan.shards)) * self._channels[channel].bytes

    def _count(self, program: str) -> int:
        """How many payloads of a value a step has."""
        return self._mine[1] - self._mine[0] if program == GRADIENT else 1


def _joined(events: Sequence[Event]) -> Iterator[Event]:
    """Work that follows work of the same kind becomes one; operations go with what follows."""
    held: Work | None = None
    for event in events:
        if not isinstance(event, Work):
            if held is not None:
                yield held
            held = None
            yield event
        elif held is None:
            held = event
        elif "operations" in (held.what, event.what) or held.what == event.what:
            what = event.what if held.what == "operations" else held.what
            held = Work(held.seconds + event.seconds, what)
        else:
            yield held
            held = event
    if held is not None:
        yield held


def workers_of(ranges: Ranges) -> tuple[str, ...]:
    """The tasks that compute gradients."""
    return tuple(task for task in ranges if not task.startswith("ps:"))


def consumers_of(plan: ClusterPlan, tasks: Sequence[TaskName], ranges: Ranges) -> Mapping[
    tuple[str, str], tuple[str, ...]
]:
    """By channel and producer, who takes its payloads."""
    return {
        (out.name, str(task)): out.consumers
        for task in tasks for out in outgoing(plan, task, ranges)
    }
