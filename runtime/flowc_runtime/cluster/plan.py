"""The cluster plan: one Part a role, and the channels between them, as versioned plain data.

A step has two halves. The *gradient* program runs once for each shard of the batch, on the
replicas of a role (or of several roles, where the model is cut into stages). The *update* program
runs once a step, where the variables live: on ps tasks, or on every replica alike. Between the
halves gradients are summed in the order of a fixed binary tree over the shards (`shards.py`), so
the sum does not depend on who computed which shard.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from typing import Any, Literal

from flowc_runtime.cluster.shards import Range, assign
from flowc_runtime.plan import Buffer, Plan, Variable
from flowc_runtime.types import TensorType

CLUSTER_PLAN_VERSION = 1
BUCKET_BYTES = 1 << 20  # of gradients or variables that travel together: one chunk on the wire

GRADIENT, UPDATE = "gradient", "update"  # the two programs of a step
_ROWS = re.compile(r"(?P<whole>[^\[\]]+)\[(?P<start>[0-9]{1,18}):(?P<stop>[0-9]{1,18})\]")

Kind = Literal["gradients", "means", "variables", "value"]
Mode = Literal["sync", "backup", "async", "all_reduce"]


@dataclass(frozen=True, slots=True)
class Sync:
    """How replicas meet.

    `sync` and `all_reduce` wait for every gradient, and give the same bits; with `backup` the
    first `replicas - backups` gradients of a step count; with `async` a gradient is applied as
    it comes, and no replica is more than `max_staleness` steps ahead of another.
    """

    mode: Mode
    backups: int = 0
    max_staleness: int = 0

    @property
    def loose(self) -> bool:
        """Whether a step goes on without somebody's gradient, so that bits depend on speeds."""
        return self.mode in ("backup", "async")

    def __str__(self) -> str:
        match self.mode:
            case "backup":
                return f"backup({self.backups})"
            case "async":
                return f"async(max_staleness = {self.max_staleness})"
        return self.mode


@dataclass(frozen=True, slots=True)
class Packed:
    """A tensor in a channel's payload, `offset` bytes from its begin (a multiple of 64).

    A name may end in rows: `gradient.embed.table[0:600]` is a tensor of its own where there is
    one of this name, else these rows of the leading axis of `gradient.embed.table`.
    """

    name: str
    type: TensorType
    offset: int


@dataclass(frozen=True)
class Channel:
    """Tensors that go from one role to another together, once a step or once a shard.

    `gradients`  producer's partial sums over its shards, one payload a subtree of shards, to the
                 role that owns the variables; names are inputs of its `update` program. Where
                 producer and consumer are the same role (all_reduce), each replica sums one
                 slice of the payload, and gives it to the others by the channel of kind `means`
    `means`      the finished slices, from each replica to all others of the role
    `variables`  new values from their owner to every replica; names are variables' paths
    `value`      a value of the graph; names are outputs of the producer's program and inputs of
                 the consumer's. Between stages once a shard, between owners once a step
    """

    name: str
    kind: Kind
    producer: str
    consumer: str
    tensors: tuple[Packed, ...]
    bytes: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Before instruction number `position` of a program the channel is received or sent."""

    position: int
    action: Literal["receive", "send"]
    channel: str


@dataclass(frozen=True)
class Part:
    """One role's share: its device plan, and where in the programs its channels come in.

    The plan has the program `gradient`, `update` or both. `stops` are in order of position.
    """

    role: str
    replicas: int
    plan: Plan
    stops: Mapping[str, tuple[Stop, ...]] = field(default_factory=dict)

    @property
    def owns(self) -> tuple[str, ...]:
        """The variables that this role updates, and that checkpoints take from it."""
        program = self.plan.programs.get(UPDATE)
        if program is None:
            return ()
        written = {b for i in program.instructions for b in i.results}
        return _touched(self.plan.variables, [program.buffers[b] for b in sorted(written)])


@dataclass(frozen=True)
class ClusterPlan:
    """All that the tasks of a training are to do.

    `batch` examples a step are cut into `shards` of equal size. Channels stand in the order in
    which their payloads become ready.
    """

    model: str
    source_hash: str
    sync: Sync
    batch: int
    shards: int
    parts: tuple[Part, ...]
    channels: tuple[Channel, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    version: int = CLUSTER_PLAN_VERSION

    def part(self, role: str) -> Part:
        """KeyError where no part is for the role."""
        return self._parts[role]

    def channel(self, name: str) -> Channel:
        return self._channels[name]

    @cached_property
    def _parts(self) -> Mapping[str, Part]:
        return {part.role: part for part in self.parts}

    @cached_property
    def _channels(self) -> Mapping[str, Channel]:
        return {channel.name: channel for channel in self.channels}

    def received(self, role: str) -> frozenset[str]:
        """The variables that a role is sent in every step, whole or rows by rows."""
        return frozenset(
            whole_and_rows(tensor.name)[0]
            for channel in self.channels
            if channel.kind == "variables" and channel.consumer == role
            for tensor in channel.tensors
        )

    def loads(self, role: str) -> tuple[str, ...]:
        """The variables that a task of the role must be given before its first step."""
        received = self.received(role)
        return tuple(v.path for v in self.part(role).plan.variables if v.path not in received)

    def changing(self, role: str) -> tuple[str, ...]:
        """Those of them that change with the steps; the others are frozen."""
        return tuple(p for p in self.loads(role) if p in set(self.part(role).owns))

    def dealt(self, role: str, replicas: int) -> tuple[Range, ...]:
        """The shards of each of so many replicas of a role; none for a role of owners.

        Where gradients are applied one by one, every replica computes a whole batch.
        """
        if GRADIENT not in self.part(role).plan.programs:
            return ((0, 0),) * replicas
        if self.sync.mode == "async":
            return ((0, self.shards),) * replicas
        return assign(self.shards, replicas)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Loss and metrics: the scalars that a step gives."""
        programs = [p.plan.programs[GRADIENT] for p in self.parts if GRADIENT in p.plan.programs]
        return tuple(
            port.name
            for program in programs
            for port in program.outputs
            if (port.name == "loss" or port.name.startswith("metric."))
            and not program.buffers[port.buffer].type.shape
        )

    @property
    def shard_size(self) -> int:
        """Examples in a shard."""
        return self.batch // self.shards


def _touched(variables: Sequence[Variable], buffers: Sequence[Buffer]) -> tuple[str, ...]:
    """The paths of variables that share bytes with some of the buffers."""
    laid = sorted((v for v in variables if v.type.bytes), key=lambda v: v.offset)
    starts = [v.offset for v in laid]
    ends = [v.offset + v.type.bytes for v in laid]
    more = [0] * (len(laid) + 1)  # how many buffers begin or end to cover them, in order
    for buffer in buffers:
        if buffer.space == "variables" and buffer.type.bytes:
            more[bisect_right(ends, buffer.offset)] += 1
            more[bisect_left(starts, buffer.end)] -= 1
    covered = {v.path for v, count in zip(laid, accumulate(more), strict=False) if count > 0}
    return tuple(v.path for v in variables if v.path in covered)


def whole_and_rows(name: str) -> tuple[str, Range | None]:
    """`embed.table[0:600]` as the logical tensor `embed.table` and its rows 0 up to 600."""
    found = _ROWS.fullmatch(name)
    if found is None:
        return name, None
    return found["whole"], (int(found["start"]), int(found["stop"]))


def rows_name(whole: str, rows: Range) -> str:
    """The inverse of `whole_and_rows`."""
    return f"{whole}[{rows[0]}:{rows[1]}]"


def rows_type(type: TensorType, rows: Range) -> TensorType:
    """The type of some rows of a tensor; ValueError where it has not so many."""
    start, stop = rows
    if not type.shape or not 0 <= start < stop <= type.sizes[0]:
        raise ValueError(f"{type} has no rows {start} up to {stop}")
    return TensorType(type.dtype, (stop - start, *type.shape[1:]))


def place_of(places: Mapping[str, Buffer], name: str) -> Buffer | None:
    """Where a tensor lies that a channel names: in a place of its own, or within that of its
    whole. None where there is neither."""
    if name in places:
        return places[name]
    whole, rows = whole_and_rows(name)
    if rows is None or whole not in places:
        return None
    home = places[whole]
    try:
        type = rows_type(home.type, rows)
    except ValueError:
        return None
    return Buffer(home.space, home.offset + rows[0] * (type.bytes // (rows[1] - rows[0])), type)


@dataclass(frozen=True, slots=True, order=True)
class TaskName:
    """A process of the job: replica number `replica` of a role. Written `worker:1`, `ps:0`.

    Roles with a number of their own (`ps:0`, `stage:1`) have it in their name; replicas of a
    stage are written `stage:1/2`.
    """

    role: str
    replica: int = 0

    def __str__(self) -> str:
        if ":" not in self.role:
            return f"{self.role}:{self.replica}"
        return self.role if self.replica == 0 else f"{self.role}/{self.replica}"


def parse_task(text: str) -> TaskName:
    """The inverse of `str(TaskName)`; ValueError for anything else."""
    role, slash, replica = text.partition("/")
    if slash:
        return TaskName(role, int(replica))
    kind, colon, number = text.partition(":")
    if not colon or not number.isdecimal():
        raise ValueError(f"`{text}` is no task")
    return TaskName(kind, int(number)) if kind == "worker" else TaskName(text)


def tasks_of(plan: ClusterPlan) -> tuple[TaskName, ...]:
    """Every task that the plan is for."""
    return tuple(TaskName(part.role, r) for part in plan.parts for r in range(part.replicas))
