"""The bytes that a task allocates for a cluster plan, by what they are for."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flowc_runtime.cluster.exchange import SLOTS
from flowc_runtime.cluster.plan import UPDATE, Channel, ClusterPlan, TaskName
from flowc_runtime.cluster.work.boxes import incoming, outgoing, payload_bytes
from flowc_runtime.cluster.work.sums import TotalSum
from flowc_runtime.cluster.work.table import Ranges, lanes_of, replicas_in
from flowc_runtime.plan import ALIGNMENT_BYTES


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes. `channels` are the slots of payloads, `sums` what adding up shards needs, and what
    looking ahead does in async."""

    variables: int
    constants: int
    arena: int
    channels: int
    sums: int

    @property
    def total(self) -> int:
        return self.variables + self.constants + self.arena + self.channels + self.sums


def bytes_held(
    plan: ClusterPlan, me: TaskName, ranges: Ranges, remote: Collection[str] = ()
) -> Held:
    """What a task allocates. `remote` are the tasks whose payloads come over the network."""
    part = plan.part(me.role).plan
    sent = sum(box.bytes for box in outgoing(plan, me, ranges))
    received = sum(box.bytes for box in incoming(plan, me, ranges) if box.producer in remote)
    return Held(
        rounded(part.variable_bytes), rounded(part.constant_bytes),
        lanes_of(plan, me, ranges) * rounded(part.arena_bytes),
        SLOTS * (sent + received),
        own_sums(plan, me, ranges) + spare_bytes(plan, me, ranges) + ahead_bytes(plan, me),
    )  # fmt: skip


def own_sums(plan: ClusterPlan, me: TaskName, ranges: Ranges) -> int:
    """Partial sums that no channel carries away, since nobody else needs them."""
    carried = {box.name for box in outgoing(plan, me, ranges)}
    return sum(
        payload_bytes(plan, channel, str(me), ranges)
        for channel in plan.channels
        if channel.kind == "gradients" and channel.producer == me.role
        and channel.name not in carried
    )


def spare_bytes(plan: ClusterPlan, me: TaskName, ranges: Ranges) -> int:
    """Room for the sums of right subtrees while those of the left are held."""
    if UPDATE not in plan.part(me.role).plan.programs:
        return 0
    summed = [c for c in plan.channels if c.kind == "gradients" and c.consumer == me.role]
    return max((spare_of(plan, channel, ranges) for channel in summed), default=0)


def ahead_bytes(plan: ClusterPlan, me: TaskName) -> int:
    """Asynchronous training: all variables that this task gives, as they were a step before."""
    if plan.sync.mode != "async":
        return 0
    given = (c for c in plan.channels if c.kind == "variables" and c.producer == me.role)
    return sum(rounded(channel.bytes) for channel in given)


def spare_of(plan: ClusterPlan, channel: Channel, ranges: Ranges) -> int:
    replicas = replicas_in(ranges, channel.producer)
    levels = TotalSum([ranges[task] for task in replicas], plan.shards).levels
    largest = max(tensor.type.bytes for tensor in channel.tensors)
    return levels * rounded(largest)


def rounded(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


