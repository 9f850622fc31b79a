"""The channels of a task in a generation: what it sends to whom, and what it receives from whom."""

from __future__ import annotations

from collections.abc import Iterator

from flowc_runtime.cluster.exchange import Incoming, Outgoing
from flowc_runtime.cluster.plan import Channel, ClusterPlan, TaskName
from flowc_runtime.cluster.shards import stack_depth
from flowc_runtime.cluster.work.table import Ranges, replicas_in, summed_whole
from flowc_runtime.plan import ALIGNMENT_BYTES

TRAILER_BYTES = 256  # behind the sums of a loose step: loss, metrics and a count, as f32


def payload_bytes(plan: ClusterPlan, channel: Channel, producer: str, ranges: Ranges) -> int:
    """The most that one payload of the channel holds."""
    match channel.kind:
        case "gradients":
            trailer = TRAILER_BYTES if plan.sync.loose else 0
            return channel.bytes * stack_depth(ranges[producer], plan.shards) + trailer
        case "means":
            low, high = slice_of(channel, producer, ranges)
            return high - low
        case _:
            return channel.bytes


def slice_of(channel: Channel, task: str, ranges: Ranges) -> tuple[int, int]:
    """The bytes of a bucket that a replica finishes for all: even parts, on cache lines."""
    replicas = replicas_in(ranges, channel.producer)
    lines = -(-channel.bytes // ALIGNMENT_BYTES)
    each, rest = divmod(lines, len(replicas))
    place = replicas.index(task)
    start = place * each + min(place, rest)
    stop = start + each + (1 if place < rest else 0)
    return (
        min(start * ALIGNMENT_BYTES, channel.bytes), min(stop * ALIGNMENT_BYTES, channel.bytes))


def outgoing(plan: ClusterPlan, me: TaskName, ranges: Ranges) -> tuple[Outgoing, ...]:
    """The channels that the task fills, with those who take from them."""
    found = []
    for channel in _used(plan, ranges):
        if channel.producer != me.role or not _produces(channel, me, ranges):
            continue
        consumers = _consumers(plan, channel, me, ranges)
        size = payload_bytes(plan, channel, str(me), ranges)
        if channel.kind == "variables" and plan.sync.mode == "async":
            found += [Outgoing(personal(channel.name, c), size, (c,)) for c in consumers]
        elif consumers:
            lossy = channel.kind == "variables" and plan.sync.mode == "backup"
            found.append(Outgoing(channel.name, size, consumers, lossy))
    return tuple(found)


def personal(channel: str, consumer: str) -> str:
    """The channel of its own that a worker has where the workers do not go in step."""
    return f"{channel}@{consumer}"


def incoming(plan: ClusterPlan, me: TaskName, ranges: Ranges) -> tuple[Incoming, ...]:
    """The channels that others fill for the task."""
    found = []
    for channel in _used(plan, ranges):
        if channel.consumer != me.role:
            continue
        for producer in _tasks(plan, channel.producer):
            if producer == me or not _produces(channel, producer, ranges):
                continue
            consumers = _consumers(plan, channel, producer, ranges)
            if str(me) in consumers:
                size = payload_bytes(plan, channel, str(producer), ranges)
                own = channel.kind == "variables" and plan.sync.mode == "async"
                name = personal(channel.name, str(me)) if own else channel.name
                takers = (str(me),) if own else consumers
                found.append(Incoming(name, size, str(producer), takers))
    return tuple(found)


def _used(plan: ClusterPlan, ranges: Ranges) -> Iterator[Channel]:
    for channel in plan.channels:
        if channel.kind == "means" and summed_whole(ranges, channel.producer):
            continue
        yield channel


def _produces(channel: Channel, task: TaskName, ranges: Ranges) -> bool:
    """A worker without shards sends nothing."""
    if channel.kind in ("gradients", "means"):
        start, stop = ranges[str(task)]
        return start < stop
    return True


def _consumers(
    plan: ClusterPlan, channel: Channel, producer: TaskName, ranges: Ranges
) -> tuple[str, ...]:
    everybody = [t for t in _tasks(plan, channel.consumer) if t != producer]
    if channel.kind == "value":
        everybody = [t for t in everybody if t.replica == producer.replica]
    working = [t for t in everybody if _takes_part(str(t), ranges)]
    return tuple(map(str, working))


def _tasks(plan: ClusterPlan, role: str) -> list[TaskName]:
    return [TaskName(role, replica) for replica in range(plan.part(role).replicas)]


def _takes_part(task: str, ranges: Ranges) -> bool:
    """A task of a generation; a worker without shards waits for nothing."""
    if task not in ranges:
        return False
    start, stop = ranges[task]
    return start < stop or task.startswith("ps:")


