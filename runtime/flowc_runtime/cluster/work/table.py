"""The step table: what one task does in one step, as a straight list of operations.

It follows from the plan and from who computes which shards; nothing is decided while it runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from flowc_runtime.cluster.plan import (
    GRADIENT,
    UPDATE,
    Channel,
    ClusterPlan,
    Part,
    Stop,
    TaskName,
    parse_task,
)
from flowc_runtime.cluster.shards import Range
from flowc_runtime.plan import Program

LOSS = "loss"


@dataclass(frozen=True, slots=True)
class Fill:
    """Read a shard's examples into the inputs of the gradient program, and begin it.

    `lane` is, here and below, which arena of the task the shard is computed in.
    """

    shard: int
    lane: int = 0


@dataclass(frozen=True, slots=True)
class BeginUpdate:
    """Give the update program the number of the step; the gradient program's memory is free."""


@dataclass(frozen=True, slots=True)
class Run:
    """Run some instructions of a program."""

    program: str
    start: int
    stop: int
    lane: int = 0


@dataclass(frozen=True, slots=True)
class CheckLoss:
    """Go no further where the shard's loss is not finite."""

    lane: int = 0


@dataclass(frozen=True, slots=True)
class TakeVariables:
    """Wait for variables of their owner, and put them into mine."""

    channel: str
    producer: str


@dataclass(frozen=True, slots=True)
class TakeValues:
    """Wait for values, and put them into the inputs of a program."""

    channel: str
    producer: str
    program: str
    shard: int  # position among my shards; 0 for values that come once a step
    lane: int = 0


@dataclass(frozen=True, slots=True)
class SendValues:
    channel: str
    program: str
    shard: int
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Add:
    """The gradients of my shard number `shard` join the partial sums."""

    channel: str
    shard: int
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Publish:
    """The partial sums of all my shards are there for those who add them up."""

    channel: str


@dataclass(frozen=True, slots=True)
class Keep:
    """Loss and metrics of my shard number `shard` join what the task reports of the step."""

    shard: int
    lane: int = 0


@dataclass(frozen=True, slots=True)
class Sum:
    """Wait for everybody's partial sums, and add them into the inputs of the update program."""

    channel: str


@dataclass(frozen=True, slots=True)
class SumSlice:
    """The same for my slice of the bytes, which goes to the other replicas."""

    channel: str


@dataclass(frozen=True, slots=True)
class TakeSlices:
    """Wait for the slices of the others, and put all of them into the update's inputs."""

    channel: str


@dataclass(frozen=True, slots=True)
class SendVariables:
    channel: str


@dataclass(frozen=True, slots=True)
class Commit:
    """All variables of the task are those after the step: from here on it counts as done."""


Op = (
    Fill | BeginUpdate | Run | CheckLoss | TakeVariables | TakeValues | SendValues | Add
    | Publish | Keep | Sum | SumSlice | TakeSlices | SendVariables | Commit
)  # fmt: skip

Ranges = Mapping[str, Range]  # by task: the shards that it computes


def step_table(plan: ClusterPlan, me: TaskName, ranges: Ranges) -> tuple[Op, ...]:
    """All that the task does in a step, in order."""
    return (*gradient_table(plan, me, ranges), *update_table(plan, me, ranges))


def gradient_table(plan: ClusterPlan, me: TaskName, ranges: Ranges) -> tuple[Op, ...]:
    """The first half: nothing where the role computes no gradients."""
    part = plan.part(me.role)
    if GRADIENT not in part.plan.programs:
        return ()
    start, stop = ranges[str(me)]
    lanes = lanes_of(plan, me, ranges)
    halves = []
    for number, shard in enumerate(range(start, stop)):
        lane = number % lanes
        ops_of_shard = [
            Fill(shard, lane),
            *_shard(plan, part, me, number, shard == stop - 1, lane),
            Keep(number, lane),
        ]
        halves.append(_forward_and_backward(ops_of_shard, me))
    ops = _pipelined(halves, lanes)
    if plan.sync.loose and ops:
        ops += [Publish(s.channel) for s in part.stops[GRADIENT] if _is_sums(plan, s)]
    return tuple(ops)


def lanes_of(plan: ClusterPlan, me: TaskName, ranges: Ranges) -> int:
    """How many shards are under way at once: a stage does not wait for those behind it."""
    if not me.role.startswith("stage:"):
        return 1
    stages = sum(part.role.startswith("stage:") for part in plan.parts)
    behind = stages - 1 - _stage(me.role)
    start, stop = ranges[str(me)]
    return max(1, min(behind + 1, stop - start))


def _pipelined(halves: list[tuple[list[Op], list[Op]]], lanes: int) -> list[Op]:
    """One forward, one backward (Narayanan et al. 2019, "PipeDream"), after a few forwards."""
    ahead = lanes - 1
    ops: list[Op] = []
    for forward, _ in halves[:ahead]:
        ops += forward
    for number, (_, backward) in enumerate(halves):
        if number + ahead < len(halves):
            ops += halves[number + ahead][0]
        ops += backward
    return ops


def _forward_and_backward(ops: list[Op], me: TaskName) -> tuple[list[Op], list[Op]]:
    """Cut where something of a later stage is waited for."""
    if me.role.startswith("stage:"):
        for place, op in enumerate(ops):
            if isinstance(op, TakeValues):
                producer = _role_of(op.producer)
                if producer.startswith("stage:") and _stage(producer) > _stage(me.role):
                    return ops[:place], ops[place:]
    return ops, []


def _stage(role: str) -> int:
    return int(role.partition(":")[2])


def update_table(plan: ClusterPlan, me: TaskName, ranges: Ranges) -> tuple[Op, ...]:
    """The second half: nothing where the role owns no variables.

    All waiting is done before the first variable changes, and variables are sent when all have:
    so a step that is given up has either happened or not.
    """
    part = plan.part(me.role)
    if UPDATE not in part.plan.programs:
        return ()
    sliced = [c for c in plan.channels if c.kind == "means" and c.consumer == me.role]
    in_slices = {c.name for c in sliced} if not summed_whole(ranges, me.role) else set()
    program = part.plan.programs[UPDATE]
    ops: list[Op] = [BeginUpdate()]
    ops += [SumSlice(_sums_of(c)) for c in sliced if c.name in in_slices]
    position = 0
    for stop in sorted((_kept_whole(s, program) for s in part.stops.get(UPDATE, ())),
                       key=lambda s: s.position):
        if _is_variables(plan, stop):
            continue
        if stop.position > position:
            ops.append(Run(UPDATE, position, stop.position))
            position = stop.position
        ops.append(_update_stop(plan, stop, me, in_slices))
    ops += [Run(UPDATE, position, len(program.instructions)), Commit()]
    ops += [
        SendVariables(s.channel) for s in part.stops.get(UPDATE, ()) if _is_variables(plan, s)]
    return tuple(ops)


def _kept_whole(stop: Stop, program: Program) -> Stop:
    """The stop, no later than the first change of a variable where it waits."""
    if stop.action == "receive" and stop.position > program.commit:
        return Stop(program.commit, stop.action, stop.channel)
    return stop


def _is_sums(plan: ClusterPlan, stop: Stop) -> bool:
    return plan.channel(stop.channel).kind == "gradients"


def _is_variables(plan: ClusterPlan, stop: Stop) -> bool:
    return plan.channel(stop.channel).kind == "variables"


def summed_whole(ranges: Ranges, role: str) -> bool:
    """Whether each replica adds up all of a bucket: for two that costs no more to send."""
    return len(replicas_in(ranges, role)) <= 2


def replicas_in(ranges: Ranges, role: str) -> tuple[str, ...]:
    """The tasks of a role that compute shards, in order of their shards."""
    found = [
        (r, task) for task, r in ranges.items() if r[0] < r[1] and _role_of(task) == role
    ]
    return tuple(task for _, task in sorted(found))


def _role_of(task: str) -> str:
    return parse_task(task).role


def means_of(channel: str) -> str:
    """The channel that brings the finished slices of a channel of sums."""
    return channel.replace("gradients", "means", 1)


def _sums_of(channel: Channel) -> str:
    return channel.name.replace("means", "gradients", 1)


def _shard(
    plan: ClusterPlan, part: Part, me: TaskName, shard: int, last: bool, lane: int
) -> Iterator[Op]:
    program = part.plan.programs[GRADIENT]
    position = 0
    for stop in _with_loss(program, part.stops.get(GRADIENT, ())):
        if stop.position > position:
            yield Run(GRADIENT, position, stop.position, lane)
            position = stop.position
        yield from _gradient_stop(plan, stop, me, shard, last, lane)
    if len(program.instructions) > position:
        yield Run(GRADIENT, position, len(program.instructions), lane)


def _with_loss(program: Program, stops: tuple[Stop, ...]) -> list[Stop]:
    """The stops, and one where the loss is complete, before anything else there."""
    loss = [program.buffers[p.buffer] for p in program.outputs if p.name == LOSS]
    if not loss:
        return list(stops)
    written = [
        k + 1 for k, i in enumerate(program.instructions)
        if any(program.buffers[b].meets(loss[0]) for b in i.results)
    ]
    check = Stop(max(written, default=0), "send", "")
    return sorted([check, *stops], key=lambda s: s.position)


def _gradient_stop(
    plan: ClusterPlan, stop: Stop, me: TaskName, shard: int, last: bool, lane: int
) -> Iterator[Op]:
    if not stop.channel:
        yield CheckLoss(lane)
        return
    channel = plan.channel(stop.channel)
    match channel.kind:
        case "variables" if shard == 0:
            yield TakeVariables(channel.name, channel.producer)
        case "value" if stop.action == "receive":
            producer = str(TaskName(channel.producer, me.replica))
            yield TakeValues(channel.name, producer, GRADIENT, shard, lane)
        case "value":
            yield SendValues(channel.name, GRADIENT, shard, lane)
        case "gradients":
            yield Add(channel.name, shard, lane)
            if last and not plan.sync.loose:
                yield Publish(channel.name)


def _update_stop(plan: ClusterPlan, stop: Stop, me: TaskName, in_slices: set[str]) -> Op:
    channel = plan.channel(stop.channel)
    match channel.kind:
        case "gradients":
            sliced = means_of(channel.name) in in_slices
            return TakeSlices(channel.name) if sliced else Sum(channel.name)
        case _ if stop.action == "send":
            return SendValues(channel.name, UPDATE, 0)
        case _:
            producer = str(TaskName(channel.producer, me.replica))
            return TakeValues(channel.name, producer, UPDATE, 0)
