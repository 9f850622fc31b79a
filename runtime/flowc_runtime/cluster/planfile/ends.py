"""Both ends of every channel: what is sent, what is taken, and when."""

from __future__ import annotations

from collections.abc import Sequence

from flowc_runtime.cluster.plan import (
    GRADIENT,
    UPDATE,
    Channel,
    ClusterPlan,
    Part,
    Stop,
    place_of,
)
from flowc_runtime.cluster.planfile.promises import need
from flowc_runtime.plan import Buffer, Port, Program
from flowc_runtime.types import TensorType

Stopped = tuple[str, Stop]  # the program in which a channel comes in


def check_ends(plan: ClusterPlan) -> None:
    for part in plan.parts:
        _check_stops(plan, part)
        _check_taken_once(plan, part)
    for channel in plan.channels:
        if channel.kind == "means":
            _check_means(plan, channel)
        else:
            _check_channel(plan, channel)


def _check_stops(plan: ClusterPlan, part: Part) -> None:
    known = {channel.name: channel for channel in plan.channels}
    for program, stops in part.stops.items():
        need(
            program in part.plan.programs or not stops, "unknown-channel",
            f"`{part.role}` stops in a program `{program[:40]}` that it has not")
        for stop in stops:
            channel = known.get(stop.channel)
            ours = channel is not None and channel.kind != "means" and part.role == (
                channel.producer if stop.action == "send" else channel.consumer)
            need(ours, "unknown-channel", f"`{part.role}` cannot {stop.action} `{stop.channel}`")
            inside = 0 <= stop.position <= len(part.plan.programs[program].instructions)
            need(inside, "unknown-channel", f"`{part.role}` has no instruction {stop.position}")


def _check_taken_once(plan: ClusterPlan, part: Part) -> None:
    seen: set[tuple[str, str, str]] = set()
    for channel in plan.channels:
        if channel.consumer != part.role or channel.kind == "means":
            continue
        for tensor in channel.tensors:
            key = (channel.kind, channel.producer, tensor.name)
            need(
                key not in seen, "received-twice",
                f"`{part.role}` receives `{tensor.name}` of `{channel.producer}` by two channels")
            seen.add(key)


def _check_means(plan: ClusterPlan, channel: Channel) -> None:
    """It goes with a channel of sums that the replicas of a role share."""
    sums = [c for c in plan.channels if c.kind == "gradients"
            and c.name == channel.name.replace("means", "gradients", 1)]
    good = sums and channel.producer == channel.consumer == sums[0].producer == sums[0].consumer
    need(bool(good), "receive-without-send", f"`{channel.name}` has no sums to finish")
    need(sums[0].tensors == channel.tensors, "tensor-mismatch", f"`{channel.name}`")


def _check_channel(plan: ClusterPlan, channel: Channel) -> None:
    producer, consumer = plan.part(channel.producer), plan.part(channel.consumer)
    sends, receives = _stops(producer, channel, "send"), _stops(consumer, channel, "receive")
    name = channel.name
    need(len(sends) < 2, "sent-twice", f"`{name}` is sent at {len(sends)} places")
    need(len(receives) < 2, "received-twice", f"`{name}` is received at {len(receives)} places")
    need(bool(sends), "receive-without-send", f"`{channel.producer}` never sends `{name}`")
    need(bool(receives), "send-without-receive", f"`{channel.consumer}` never receives `{name}`")
    (sent_in, send), (received_in, receive) = sends[0], receives[0]
    need(
        (sent_in, received_in) in _halves(channel), "tensor-mismatch",
        f"`{name}` goes from the {sent_in} program to the {received_in} program")
    made = _made(producer, channel, sent_in)
    taken = _taken(consumer, channel, received_in)
    for tensor, source, target in zip(channel.tensors, made, taken, strict=True):
        good = _fits(source, tensor.type) and (target is None or _fits(target, tensor.type))
        need(good, "tensor-mismatch", f"`{name}`: `{tensor.name}` is no {tensor.type} at both ends")
    program = producer.plan.programs[sent_in]
    written = max((_after_writer(program, b) for b in made if b is not None), default=0)
    need(send.position >= written, "sent-too-early",
         f"`{name}` is sent at {send.position}, and written until {written}")
    program = consumer.plan.programs[received_in]
    read = min((_first_reader(program, b) for b in taken if b is not None),
               default=len(program.instructions))
    need(receive.position <= read, "received-too-late",
         f"`{name}` is received at {receive.position}, and read from {read} on")


def _halves(channel: Channel) -> tuple[tuple[str, str], ...]:
    """In which programs a channel is sent and received."""
    match channel.kind:
        case "gradients":
            return ((GRADIENT, UPDATE),)
        case "variables":
            return ((UPDATE, GRADIENT),)
    return ((GRADIENT, GRADIENT), (UPDATE, UPDATE))


def _stops(part: Part, channel: Channel, action: str) -> list[Stopped]:
    return [
        (program, stop) for program, stops in part.stops.items() for stop in stops
        if stop.channel == channel.name and stop.action == action
    ]


def _made(part: Part, channel: Channel, program: str) -> list[Buffer | None]:
    """Where the tensors lie at their producer; a gradient may be rows of a larger one."""
    if channel.kind == "variables":
        homes = _homes(part)
        return [homes.get(t.name) for t in channel.tensors]
    places = _places(part.plan.programs[program], outputs=True)
    if channel.kind == "gradients":
        return [place_of(places, t.name) for t in channel.tensors]
    return [places.get(t.name) for t in channel.tensors]


def _taken(part: Part, channel: Channel, program: str) -> list[Buffer | None]:
    """Where they go, a variable's rows into the whole; None for a gradient that is of no use."""
    if channel.kind == "variables":
        homes = _homes(part)
        found = [place_of(homes, t.name) for t in channel.tensors]
    else:
        places = _places(part.plan.programs[program], outputs=False)
        found = [places.get(t.name) for t in channel.tensors]
    missing = channel.kind != "gradients" and None in found
    need(not missing, "tensor-mismatch", f"`{channel.name}` brings what nobody takes")
    return found


def _homes(part: Part) -> dict[str, Buffer]:
    return {v.path: Buffer("variables", v.offset, v.type) for v in part.plan.variables}


def _places(program: Program, outputs: bool) -> dict[str, Buffer]:
    ports: Sequence[Port] = program.outputs if outputs else program.inputs
    return {port.name: program.buffers[port.buffer] for port in ports}


def _fits(buffer: Buffer | None, type: TensorType) -> bool:
    return buffer is not None and buffer.type == type


def _first_reader(program: Program, buffer: Buffer) -> int:
    for position, instruction in enumerate(program.instructions):
        if any(program.buffers[b].meets(buffer) for b in instruction.operands):
            return position
    return len(program.instructions)


def _after_writer(program: Program, buffer: Buffer) -> int:
    for position in reversed(range(len(program.instructions))):
        if any(program.buffers[b].meets(buffer) for b in program.instructions[position].results):
            return position + 1
    return 0
