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
from flowc_runtime.cluster.planfile.uses import Uses
from flowc_runtime.cluster.work.table import means_of
from flowc_runtime.plan import Buffer, Port, Program
from flowc_runtime.types import TensorType

Stopped = tuple[str, Stop]  # the program in which a channel comes in


def check_ends(plan: ClusterPlan) -> None:
    for part in plan.parts:
        _check_stops(plan, part)
    _check_taken_once(plan)
    ends = {part.role: _Ends(part) for part in plan.parts}
    for channel in plan.channels:
        if channel.kind == "means":
            _check_means(plan, channel)
        else:
            _check_channel(channel, ends[channel.producer], ends[channel.consumer])
    for part in plan.parts:
        for program, stops in part.stops.items():
            places = [stop.position for stop in stops]
            need(places == sorted(places), "out-of-order", f"`{part.role}` in its {program}")
        _check_fresh(plan, part, ends[part.role])


class _Ends:
    """A part, with what is asked of it for each of its channels ready to be looked up."""

    def __init__(self, part: Part):
        self.homes = {v.path: Buffer("variables", v.offset, v.type) for v in part.plan.variables}
        self.inputs: dict[str, dict[str, Buffer]] = {}
        self.outputs: dict[str, dict[str, Buffer]] = {}
        self.uses: dict[str, Uses] = {}
        self.stops: dict[tuple[str, str], list[Stopped]] = {}
        for name, stops in part.stops.items():
            program = part.plan.programs.get(name)
            if program is None:
                continue
            self.uses[name] = Uses(program)
            self.inputs[name] = _places(program, program.inputs)
            self.outputs[name] = _places(program, program.outputs)
            for stop in stops:
                self.stops.setdefault((stop.channel, stop.action), []).append((name, stop))


def _places(program: Program, ports: Sequence[Port]) -> dict[str, Buffer]:
    return {port.name: program.buffers[port.buffer] for port in ports}


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
            need(ours, "unknown-channel",
                 f"`{part.role}` cannot {stop.action} `{stop.channel[:80]}`")
            inside = 0 <= stop.position <= len(part.plan.programs[program].instructions)
            need(inside, "unknown-channel", f"`{part.role}` has no instruction {stop.position}")


def _check_taken_once(plan: ClusterPlan) -> None:
    seen: set[tuple[str, str, str, str]] = set()
    for channel in plan.channels:
        for tensor in channel.tensors:
            key = (channel.kind, channel.producer, channel.consumer, tensor.name)
            need(
                key not in seen, "received-twice",
                f"`{channel.consumer}` receives `{tensor.name[:80]}` of `{channel.producer}` "
                "by two channels")
            seen.add(key)


def _check_means(plan: ClusterPlan, channel: Channel) -> None:
    """It goes with a channel of sums that the replicas of a role share."""
    try:
        sums = plan.channel(channel.name.replace("means", "gradients", 1))
    except KeyError:
        sums = channel
    ends = {channel.producer, channel.consumer, sums.producer, sums.consumer}
    good = sums.kind == "gradients" and len(ends) == 1 and means_of(sums.name) == channel.name
    need(good, "receive-without-send", f"`{channel.name[:80]}` has no sums to finish")
    same = (sums.tensors, sums.bytes) == (channel.tensors, channel.bytes)
    need(same, "tensor-mismatch", f"`{channel.name[:80]}`")


def _check_channel(channel: Channel, producer: _Ends, consumer: _Ends) -> None:
    name = channel.name[:80]
    sends = producer.stops.get((channel.name, "send"), [])
    receives = consumer.stops.get((channel.name, "receive"), [])
    need(len(sends) < 2, "sent-twice", f"`{name}` is sent at {len(sends)} places")
    need(len(receives) < 2, "received-twice", f"`{name}` is received at {len(receives)} places")
    need(bool(sends), "receive-without-send", f"`{channel.producer}` never sends `{name}`")
    need(bool(receives), "send-without-receive", f"`{channel.consumer}` never receives `{name}`")
    (sent_in, send), (received_in, receive) = sends[0], receives[0]
    need(
        (sent_in, received_in) in _halves(channel), "tensor-mismatch",
        f"`{name}` goes from the {sent_in[:40]} program to the {received_in[:40]} program")
    made = _made(producer, channel, sent_in)
    taken = _taken(consumer, channel, received_in)
    for tensor, source, target in zip(channel.tensors, made, taken, strict=True):
        good = _fits(source, tensor.type) and (target is None or _fits(target, tensor.type))
        need(good, "tensor-mismatch",
             f"`{name}`: `{tensor.name[:80]}` is no {tensor.type} at both ends")
    written = max((producer.uses[sent_in].written(b) for b in made if b is not None), default=0)
    need(send.position >= written, "sent-too-early",
         f"`{name}` is sent at {send.position}, and written until {written}")
    uses = consumer.uses[received_in]
    read = min((uses.read(b) for b in taken if b is not None), default=receive.position)
    need(receive.position <= read, "received-too-late",
         f"`{name}` is received at {receive.position}, and read from {read} on")


def _check_fresh(plan: ClusterPlan, part: Part, ends: _Ends) -> None:
    """What is sent of a variable that is received itself is its new value."""
    coming = [plan.channel(stop.channel) for stop in reversed(part.stops.get(GRADIENT, ()))]
    later: list[Buffer] = []
    for channel in coming:
        if channel.consumer == part.role and channel.kind == "variables":
            later += [b for b in _taken(ends, channel, GRADIENT) if b is not None]
        elif channel.producer == part.role:
            for made in _made(ends, channel, GRADIENT):
                if made is not None and made.space == "variables":
                    need(not any(made.meets(b) for b in later), "sent-too-early",
                         f"`{channel.name[:80]}` is sent before what is in it is received")


def _halves(channel: Channel) -> tuple[tuple[str, str], ...]:
    """In which programs a channel is sent and received."""
    match channel.kind:
        case "gradients":
            return ((GRADIENT, UPDATE),)
        case "variables":
            return ((UPDATE, GRADIENT),)
    return ((GRADIENT, GRADIENT), (UPDATE, UPDATE))


def _made(producer: _Ends, channel: Channel, program: str) -> list[Buffer | None]:
    """Where the tensors lie at their producer; a gradient may be rows of a larger one."""
    if channel.kind == "variables":
        return [producer.homes.get(t.name) for t in channel.tensors]
    outputs = producer.outputs[program]
    if channel.kind == "gradients":
        return [place_of(outputs, t.name) for t in channel.tensors]
    return [outputs.get(t.name) for t in channel.tensors]


def _taken(consumer: _Ends, channel: Channel, program: str) -> list[Buffer | None]:
    """Where they go, a variable's rows into the whole; None for a gradient that is of no use."""
    if channel.kind == "variables":
        found = [place_of(consumer.homes, t.name) for t in channel.tensors]
    else:
        found = [consumer.inputs[program].get(t.name) for t in channel.tensors]
    missing = channel.kind != "gradients" and None in found
    need(not missing, "tensor-mismatch", f"`{channel.name[:80]}` brings what nobody takes")
    return found


def _fits(buffer: Buffer | None, type: TensorType) -> bool:
    return buffer is not None and buffer.type == type
