"""The cluster plan: a device plan for each role, the channels between, and where they come in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from flowc.graph.graph import Graph
from flowc.place.halves import GRADIENT as GRADIENT_OF
from flowc.place.halves import NEXT
from flowc.place.owners import parameter_of, spread_by_bytes, update_roles
from flowc.place.partition import Crossing, partition
from flowc.place.strategy import Strategy
from flowc.plan.emit import make_plan
from flowc.plan.memory import aligned
from flowc_runtime.cluster.plan import (
    BUCKET_BYTES,
    GRADIENT,
    UPDATE,
    Channel,
    ClusterPlan,
    Kind,
    Packed,
    Part,
    Stop,
    Sync,
    place_of,
    rows_type,
    whole_and_rows,
)
from flowc_runtime.cluster.planfile import check_cluster_plan
from flowc_runtime.plan import Buffer, Plan, Program
from flowc_runtime.types import TensorType

Tensors = Sequence[tuple[str, TensorType]]


@dataclass(frozen=True)
class Halves:
    """A training step, its dimensions bound to a shard, and which role each node runs on.

    `stage_of` gives the stage of nodes of the gradient half; empty where there is one role.
    `pieces` gives the roles of rows of split parameters: in the update half these are variables.
    """

    gradient: Graph
    update: Graph
    stage_of: Mapping[int, str]
    pieces: Mapping[str, str] = field(default_factory=dict)


def make_cluster_plan(
    model: str, source_hash: str, halves: Halves, batch: int, strategy: Strategy,
    settings: Mapping[str, Any],
) -> ClusterPlan:
    """Gives every node its role, partitions both halves, and plans each role's part."""
    workers, homes = strategy.workers, _homes(halves, strategy)
    gradients = partition(halves.gradient, _gradient_roles(halves, strategy), "shard")
    roles = update_roles(halves.update, homes, strategy.owners[0])
    updates = partition(halves.update, roles, "step")
    graphs: dict[str, dict[str, Graph]] = {role: {} for role in (*workers, *strategy.owners)}
    for role, graph in gradients.graphs.items():
        graphs[role][GRADIENT] = graph
    for role, graph in updates.graphs.items():
        graphs[role][UPDATE] = graph
    sizes = {GRADIENT: {"batch": batch // strategy.shards}, UPDATE: {}}
    cut = bool(gradients.crossings or updates.crossings)
    plans = {
        role: make_plan(model, source_hash, programs, sizes, settings, role, in_order=cut)
        for role, programs in graphs.items() if programs  # a ps too many owns nothing
    }
    values = _value_channels(gradients.crossings)
    channels = [
        *values,
        *_variable_channels(plans, homes),
        *_gradient_channels(plans, homes),
        *_value_channels(updates.crossings, len(values)),
    ]
    if not strategy.ps and strategy.replicas > 1:
        channels += [
            replace(c, name=c.name.replace("gradients", "means"), kind="means")
            for c in channels if c.kind == "gradients" and c.producer == c.consumer
        ]
    parts = tuple(_part(role, plan, channels, strategy) for role, plan in plans.items())
    made = ClusterPlan(
        model, source_hash, strategy.sync, batch, strategy.shards, parts, tuple(channels),
        dict(settings))
    check_cluster_plan(made)
    return made


def make_alone_plan(plan: Plan, batch: int, shards: int) -> ClusterPlan:
    """What one process does that computes all shards itself; `plan` is all that it holds."""
    worker = "worker"
    homes = {parameter_of(v.path): worker for v in plan.variables}
    halves = {name: plan.programs[name] for name in (GRADIENT, UPDATE)}
    channels = _gradient_channels({worker: plan}, homes)
    strategy = Strategy(Sync("all_reduce"), 1, 0, shards)
    part = _part(worker, replace(plan, programs=halves), channels, strategy)
    made = ClusterPlan(
        plan.model, plan.source_hash, strategy.sync, batch, shards, (replace(part, plan=plan),),
        tuple(channels), plan.settings)
    check_cluster_plan(made)
    return made


def _gradient_roles(halves: Halves, strategy: Strategy) -> Mapping[int, str]:
    """Where each node of the gradient half runs. What a ps owns, all who read it get from there."""
    if not halves.stage_of:
        return {id: strategy.workers[0] for id in range(len(halves.gradient.nodes))}
    return {
        id: role for id, role in halves.stage_of.items()
        if not (strategy.ps and halves.gradient.nodes[id].op == "variable")
    }


def _homes(halves: Halves, strategy: Strategy) -> dict[str, str]:
    """The owner of each variable: a ps, or the only role, or the stage that uses it."""
    if strategy.ps or strategy.stages == 1:
        return spread_by_bytes(halves.update, strategy.owners, halves.pieces)
    used = {
        node.attrs["path"]: halves.stage_of[node.id]
        for node in halves.gradient.nodes if node.op == "variable"
    }
    paths = {parameter_of(n.attrs["path"]) for n in halves.update.nodes if n.op == "variable"}
    return {path: used.get(path, strategy.workers[0]) for path in sorted(paths)}


# --- channels ---------------------------------------------------------------------------------


def _value_channels(crossings: Sequence[Crossing], first: int = 0) -> list[Channel]:
    """Values that go the same way one after the other go together. They count from `first`."""
    channels = []
    runs = groupby(crossings, key=lambda c: (c.producer, c.consumer))
    for number, ((producer, consumer), run) in enumerate(runs, first):
        tensors = [(c.name, c.type) for c in run]
        name = f"values.{producer}-{consumer}.{number}"
        channels.append(_channel(name, "value", producer, consumer, tensors))
    return channels


def _variable_channels(plans: Mapping[str, Plan], homes: Mapping[str, str]) -> list[Channel]:
    """What workers read of variables that others own, in the order of first use."""
    channels = []
    for consumer, plan in plans.items():
        program = plan.programs.get(GRADIENT)
        if program is None:
            continue
        first = {v.path: _first_reader(program, _home(plan, v.path)) for v in plan.variables}
        read = [
            tensor
            for v in sorted(plan.variables, key=lambda v: first[v.path]) if v.kind != "slot"
            for tensor in _with_pieces(v.path, v.type, homes)
        ]
        for producer in dict.fromkeys(homes.values()):
            theirs = [(path, type) for path, type in read if homes[path] == producer != consumer]
            channels += _buckets("variables", producer, consumer, theirs)
    return channels


def _with_pieces(
    path: str, type: TensorType, homes: Mapping[str, str], prefix: str = ""
) -> Iterator[tuple[str, TensorType]]:
    """A variable, or what is named after it, as it is owned: whole, or in rows; if it is."""
    if path in homes:
        yield prefix + path, type
        return
    for piece in homes:
        whole, rows = whole_and_rows(piece)
        if whole == path and rows is not None:
            yield prefix + piece, rows_type(type, rows)


def _gradient_channels(plans: Mapping[str, Plan], homes: Mapping[str, str]) -> list[Channel]:
    """The sums over shards, in the order in which they become ready."""
    channels = []
    for producer, plan in plans.items():
        program = plan.programs.get(GRADIENT)
        if program is None:
            continue
        summed = [p.name for p in program.outputs if p.name.startswith((GRADIENT_OF, NEXT))]
        ready = [
            tensor
            for n in sorted(summed, key=lambda n: _after_writer(program, _output(program, n)))
            for tensor in _with_pieces(
                _path_of(n), _output(program, n).type, homes, n.removesuffix(_path_of(n)))
        ]
        for consumer in dict.fromkeys(homes.values()):
            theirs = [(n, type) for n, type in ready if homes[_path_of(n)] == consumer]
            channels += _buckets("gradients", producer, consumer, theirs)
    return channels


def _path_of(name: str) -> str:
    return name.removeprefix(GRADIENT_OF if name.startswith(GRADIENT_OF) else NEXT)


def _buckets(kind: Kind, producer: str, consumer: str, tensors: Tensors) -> list[Channel]:
    """Tensors in order, as many together as fit into a bucket."""
    buckets: list[list[tuple[str, TensorType]]] = []
    size = 0
    for name, type in tensors:
        if not buckets or size + aligned(type.bytes) > BUCKET_BYTES:
            buckets.append([])
            size = 0
        buckets[-1].append((name, type))
        size += aligned(type.bytes)
    return [
        _channel(f"{kind}.{producer}-{consumer}.{k}", kind, producer, consumer, bucket)
        for k, bucket in enumerate(buckets)
    ]


def _channel(
    name: str, kind: Kind, producer: str, consumer: str, tensors: Tensors
) -> Channel:
    packed, end = [], 0
    for tensor, type in tensors:
        packed.append(Packed(tensor, type, end))
        end += aligned(type.bytes)
    return Channel(name, kind, producer, consumer, tuple(packed), end)


# --- parts ------------------------------------------------------------------------------------


def _part(role: str, plan: Plan, channels: Sequence[Channel], strategy: Strategy) -> Part:
    stops = {
        name: tuple(sorted(_stops(role, plan, program, channels), key=_at_position))
        for name, program in plan.programs.items()
    }
    return Part(role, strategy.replicas if role in strategy.workers else 1, plan, stops)


def _at_position(stop: Stop) -> tuple[int, bool]:
    """In order of position; what is ready goes out before the next is waited for."""
    return stop.position, stop.action == "receive"


def _stops(
    role: str, plan: Plan, program: Program, channels: Sequence[Channel]
) -> Iterable[Stop]:
    """Where the channels come in: received before the first use, sent after the last write."""
    gradient = program.name == GRADIENT
    inputs = {p.name: program.buffers[p.buffer] for p in program.inputs}
    outputs = {p.name: program.buffers[p.buffer] for p in program.outputs}
    homes = {v.path: Buffer("variables", v.offset, v.type) for v in plan.variables}
    for channel in channels:
        names = [t.name for t in channel.tensors]
        match channel.kind:
            case "variables":
                buffers = [b for n in names if (b := place_of(homes, n)) is not None]
                if gradient and channel.consumer == role:
                    yield _receive(program, buffers, channel)
                elif not gradient and channel.producer == role:
                    yield _send(program, buffers, channel)
            case "gradients":
                if gradient and channel.producer == role:
                    made = [b for n in names if (b := place_of(outputs, n)) is not None]
                    yield _send(program, made, channel)
                elif not gradient and channel.consumer == role:
                    yield _receive(program, [inputs[n] for n in names if n in inputs], channel)
            case "value":
                if channel.producer == role and all(n in outputs for n in names):
                    yield _send(program, [outputs[n] for n in names], channel)
                elif channel.consumer == role and all(n in inputs for n in names):
                    yield _receive(program, [inputs[n] for n in names], channel)


def _receive(program: Program, buffers: Sequence[Buffer], channel: Channel) -> Stop:
    position = min((_first_reader(program, b) for b in buffers), default=0)
    return Stop(position, "receive", channel.name)


def _send(program: Program, buffers: Sequence[Buffer], channel: Channel) -> Stop:
    position = max((_after_writer(program, b) for b in buffers), default=0)
    return Stop(position, "send", channel.name)


def _first_reader(program: Program, buffer: Buffer) -> int:
    """The position of the first instruction that reads any of the bytes."""
    for position, instruction in enumerate(program.instructions):
        if any(program.buffers[b].meets(buffer) for b in instruction.operands):
            return position
    return len(program.instructions)


def _after_writer(program: Program, buffer: Buffer) -> int:
    """The position behind the last instruction that writes any of the bytes."""
    for position in reversed(range(len(program.instructions))):
        if any(program.buffers[b].meets(buffer) for b in program.instructions[position].results):
            return position + 1
    return 0


def _home(plan: Plan, path: str) -> Buffer:
    variable = next(v for v in plan.variables if v.path == path)
    return Buffer("variables", variable.offset, variable.type)


def _output(program: Program, name: str) -> Buffer:
    return next(program.buffers[p.buffer] for p in program.outputs if p.name == name)
