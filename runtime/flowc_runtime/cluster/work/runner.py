"""Runs a task's step table: every operation bound once to the memory that it works on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from flowc_runtime.cluster.exchange import Bytes, Exchange, Inbox, Outbox
from flowc_runtime.cluster.memory import spare_bytes
from flowc_runtime.cluster.plan import GRADIENT, UPDATE, ClusterPlan, TaskName
from flowc_runtime.cluster.shards import Range, shard_seed, subtrees
from flowc_runtime.cluster.work.boxes import incoming, outgoing, payload_bytes, slice_of
from flowc_runtime.cluster.work.direct import direct_tensors
from flowc_runtime.cluster.work.packing import Packing, copy_all, view_of
from flowc_runtime.cluster.work.sums import PartialSums, TotalSum
from flowc_runtime.cluster.work.table import (
    Add,
    BeginUpdate,
    CheckLoss,
    Commit,
    Fill,
    Keep,
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
    lanes_of,
    means_of,
    replicas_in,
    step_table,
)
from flowc_runtime.device import Run as RunProgram
from flowc_runtime.executor import Bound, Session
from flowc_runtime.memory import aligned_zeros
from flowc_runtime.ops.op import Array

Call = Callable[[int], None]  # given the sequence number of the step in its generation
ReadShard = Callable[[int, int, Mapping[str, Array]], None]  # (step, shard, inputs to fill)


@dataclass
class Waits:
    """Seconds spent waiting for payloads, by the task that was waited for.

    `now` is what is waited for at this moment, or empty; another thread may read it.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    now: str = ""

    def fetch(self, inbox: Inbox, producer: str, sequence: int) -> Bytes:
        began = time.perf_counter()
        with self.on(producer):
            payload = inbox.fetch(sequence)
        spent = time.perf_counter() - began
        self.seconds[producer] = self.seconds.get(producer, 0.0) + spent
        return payload

    def room(self, outbox: Outbox, channel: str, sequence: int) -> Bytes:
        with self.on(f"room in `{channel}`"):
            return outbox.slot(sequence)

    @contextmanager
    def on(self, what: str) -> Iterator[None]:
        self.now = what
        try:
            yield
        finally:
            self.now = ""

    def take(self) -> tuple[float, str]:
        """All seconds since the last call, and the task that most of them went to."""
        total = sum(self.seconds.values())
        slowest = max(self.seconds, key=self.seconds.__getitem__, default="")
        self.seconds.clear()
        return total, slowest


@dataclass(frozen=True)
class Work:
    """What a task works with in a generation; `exchange` is None where the plan has one task."""

    session: Session
    plan: ClusterPlan
    me: TaskName
    ranges: Ranges
    exchange: Exchange | None
    read: ReadShard
    seed: int


class Runner:
    """One task in one generation: `run_until` does steps, `run_step` one of them."""

    def __init__(self, work: Work):
        self._session = session = work.session
        self._plan = plan = work.plan
        self._me = me = work.me
        self._ranges = ranges = work.ranges
        self._read = work.read
        self._seed = work.seed
        self.waits = Waits()
        self.step = 0  # the last that is done
        self._packings = {c.name: Packing(c) for c in plan.channels}
        self._mine: Range = ranges[str(me)]
        self._programs: dict[str, Bound] = {
            n: session.bind(n) for n in session.plan.programs if n in (GRADIENT, UPDATE)}
        lanes = lanes_of(plan, me, ranges) if GRADIENT in self._programs else 1
        self._lanes = [session.bind(GRADIENT, lane) for lane in range(lanes)
                       if GRADIENT in self._programs]
        self._outboxes: dict[str, Outbox] = {}
        self._inboxes: dict[tuple[str, str], Inbox] = {}
        if (exchange := work.exchange) is not None:
            for out in outgoing(plan, me, ranges):
                self._outboxes[out.name] = exchange.outbox(out.name)
            for box in incoming(plan, me, ranges):
                self._inboxes[box.name, box.producer] = exchange.inbox(box.name, box.producer)
        self._slots: dict[str, Bytes] = {}  # of this step, by channel
        self._filling: dict[str, int] = {}  # the sequence number that a slot is for
        self._own: dict[str, Bytes] = {}  # sums that nobody else takes
        self._direct = self._find_direct()
        self._into_slots: dict[tuple[int, ...], RunProgram] = {}  # by the slots' identities
        self._spare = aligned_zeros(spare_bytes(plan, me, ranges))
        self.kept = KeptOutputs(self._mine, plan.shards, [scalars_of(b) for b in self._lanes])
        self._base: int | None = None  # the step that the generation began after
        self._calls: list[Call] = [self._bind(op) for op in step_table(plan, me, ranges)]

    def run_until(self, after: int, until: int) -> None:
        """Does the steps after number `after` up to `until`; in each window the same `after`
        that the last one ended with. Raises as `run_step` does."""
        if self._base is None:
            self._base = self.step = after
            self.publish_variables()
        while self.step < until:
            self.run_step(self.step + 1, self.step - self._base)

    def run_step(self, step: int, sequence: int) -> None:
        """Does step number `step`; raises NonFinite, ExecutionError, Aborted, PeerLost."""
        self._now = step
        for call in self._calls:
            call(sequence)
        self.step = step

    def publish_variables(self) -> None:
        """What the workers need for the first step of the generation."""
        for channel in self._plan.channels:
            if channel.kind == "variables" and channel.producer == self._me.role:
                self._send_variables(channel.name)(-1)

    # --- operations -------------------------------------------------------------------------

    def _bind(self, op: Op) -> Call:
        match op:
            case Fill(shard, lane):
                return self._fill(shard, self._lanes[lane])
            case BeginUpdate():
                update = self._programs[UPDATE]
                return lambda sequence: update.set_system(self._seed, self._now)
            case Run(program, start, stop, lane):
                if program == GRADIENT and self._direct:
                    return lambda sequence: self._gradients(sequence)(start, stop)
                run = self._bound(program, lane).run
                return lambda sequence: run(start, stop)
            case CheckLoss(lane):
                bound = self._lanes[lane]
                return lambda sequence: self._session.check_loss(bound)
            case TakeVariables(channel, producer):
                return self._take_variables(channel, producer)
            case TakeValues(channel, producer, program, shard, lane):
                return self._take_values(channel, producer, program, shard, lane)
            case SendValues(channel, program, shard, lane):
                return self._send_values(channel, program, shard, lane)
            case Add(channel, shard, lane):
                return self._add(channel, shard, self._lanes[lane])
            case Publish(channel):
                return self._publish(channel)
            case Keep(shard, lane):
                return lambda sequence: self.kept.add(shard, lane)
            case Sum(channel):
                return self._sum(channel)
            case SumSlice(channel):
                return self._sum_slice(channel)
            case TakeSlices(channel):
                return self._take_slices(channel)
            case SendVariables(channel):
                return self._send_variables(channel)
            case Commit():
                return self._commit

    def _find_direct(self) -> dict[str, dict[str, int]]:
        """By channel the tensors that the gradient program puts into the slot itself."""
        found = {
            c.name: direct_tensors(self._plan, self._me, self._ranges, c)
            for c in self._plan.channels if c.kind == "gradients" and c.name in self._outboxes
        }
        return {name: tensors for name, tensors in found.items() if tensors}

    def _gradients(self, sequence: int) -> RunProgram:
        """The gradient program with results in the slots of this step; it is bound once a slot."""
        slots = [self._room(channel, sequence) for channel in self._direct]
        key = tuple(map(id, slots))
        if key not in self._into_slots:
            places = {
                tensors[t.name]: view
                for (name, tensors), slot in zip(self._direct.items(), slots, strict=True)
                for t, view in zip(
                    self._packings[name].channel.tensors, self._packings[name].views(slot),
                    strict=True)
                if t.name in tensors
            }
            self._into_slots[key] = self._lanes[0].run.into(places)
        return self._into_slots[key]

    def _room(self, channel: str, sequence: int) -> Bytes:
        """The slot of this step."""
        if self._filling.get(channel) != sequence:
            self._filling[channel] = sequence
            outbox = self._outboxes.get(channel)
            self._slots[channel] = (
                self.waits.room(outbox, channel, sequence) if outbox else self._local(channel))
        return self._slots[channel]

    def _bound(self, program: str, lane: int) -> Bound:
        return self._lanes[lane] if program == GRADIENT else self._programs[program]

    def _fill(self, shard: int, bound: Bound) -> Call:
        seed = shard_seed(self._seed, shard)

        def call(sequence: int) -> None:
            self._read(self._now, shard, bound.inputs)
            bound.set_system(seed, self._now)

        return call

    def _commit(self, sequence: int) -> None:
        self.step = self._now

    def _take_variables(self, channel: str, producer: str) -> Call:
        inbox, packing = self._inboxes[channel, producer], self._packings[channel]
        targets = [view_of(self._session.variables, t.name) for t in packing.channel.tensors]

        def call(sequence: int) -> None:
            copy_all(targets, packing.views(self.waits.fetch(inbox, producer, sequence)))
            inbox.release(sequence)

        return call

    def _send_variables(self, channel: str) -> Call:
        outbox, packing = self._outboxes[channel], self._packings[channel]
        sources = [self._session.variables[t.name] for t in packing.channel.tensors]

        def call(sequence: int) -> None:
            copy_all(packing.views(self.waits.room(outbox, channel, sequence + 1)), sources)
            outbox.publish(sequence + 1, packing.channel.bytes)

        return call

    def _take_values(
        self, channel: str, producer: str, program: str, shard: int, lane: int
    ) -> Call:
        inbox, packing = self._inboxes[channel, producer], self._packings[channel]
        inputs = self._bound(program, lane).inputs
        targets = [inputs[t.name] for t in packing.channel.tensors]
        count = self._count(program)

        def call(sequence: int) -> None:
            number = sequence * count + shard
            copy_all(targets, packing.views(self.waits.fetch(inbox, producer, number)))
            inbox.release(number)

        return call

    def _send_values(self, channel: str, program: str, shard: int, lane: int) -> Call:
        outbox, packing = self._outboxes[channel], self._packings[channel]
        outputs = self._bound(program, lane).outputs
        sources = [outputs[t.name] for t in packing.channel.tensors]
        count = self._count(program)

        def call(sequence: int) -> None:
            number = sequence * count + shard
            copy_all(packing.views(self.waits.room(outbox, channel, number)), sources)
            outbox.publish(number, packing.channel.bytes)

        return call

    def _count(self, program: str) -> int:
        """How many payloads of a value a step has."""
        return self._mine[1] - self._mine[0] if program == GRADIENT else 1

    def _add(self, channel: str, shard: int, bound: Bound) -> Call:
        packing, outputs = self._packings[channel], bound.outputs
        direct = self._direct.get(channel, ())
        copied = [k for k, t in enumerate(packing.channel.tensors) if t.name not in direct]
        names = [packing.channel.tensors[k].name for k in copied]
        sums = PartialSums(
            self._mine, self._plan.shards, [view_of(outputs, name) for name in names])
        size = packing.channel.bytes

        def call(sequence: int) -> None:
            slot = self._room(channel, sequence)

            def level(number: int) -> list[Array]:
                views = packing.views(slot, number * size)
                return [views[k] for k in copied]

            sums.add(shard, level)

        return call

    def _publish(self, channel: str) -> Call:
        outbox = self._outboxes.get(channel)
        if outbox is None:
            return lambda sequence: None
        size = self._sums_bytes(channel)
        return lambda sequence: outbox.publish(sequence, size)

    def _sums_bytes(self, channel: str) -> int:
        """Of the partial sums of all my shards."""
        held = len(subtrees(self._mine, self._plan.shards))
        return held * self._plan.channel(channel).bytes

    def _local(self, channel: str) -> Bytes:
        if channel not in self._own:
            size = payload_bytes(
                self._plan, self._plan.channel(channel), str(self._me), self._ranges)
            self._own[channel] = aligned_zeros(size)
        return self._own[channel]

    # --- sums over all replicas -------------------------------------------------------------

    def _sum(self, channel: str) -> Call:
        packing = self._packings[channel]
        inputs, total = self._programs[UPDATE].inputs, self._total(channel)
        wanted = [
            (k, inputs[t.name], self._spares(total, inputs[t.name]))
            for k, t in enumerate(packing.channel.tensors) if t.name in inputs
        ]
        gather = self._gatherer(channel)

        def call(sequence: int) -> None:
            parts = [
                packing.views(payload, at) for payload, at in gather.payloads(sequence)
            ]
            for k, target, spare in wanted:
                total.into(target, [views[k] for views in parts], spare)
            gather.release(sequence)

        return call

    def _total(self, channel: str) -> TotalSum:
        producers = replicas_in(self._ranges, self._plan.channel(channel).producer)
        return TotalSum([self._ranges[task] for task in producers], self._plan.shards)

    def _spares(self, total: TotalSum, like: Array) -> list[Array]:
        step = -(-like.nbytes // 64) * 64
        return [
            np.ndarray(like.shape, like.dtype, self._spare, k * step) for k in range(total.levels)
        ]

    def _gatherer(self, channel: str) -> Gatherer:
        producers = replicas_in(self._ranges, self._plan.channel(channel).producer)
        sources = [
            (p, self._inboxes.get((channel, p)),
             len(subtrees(self._ranges[p], self._plan.shards)))
            for p in producers
        ]
        size = self._plan.channel(channel).bytes
        return Gatherer(channel, size, sources, self._slots, self.waits)

    def _sum_slice(self, channel: str) -> Call:
        """My slice of the bucket, by pieces of tensors, into the payload for the others."""
        pieces = Pieces(self._packings[channel], *self._my_slice(channel))
        outbox, gather = self._outboxes[means_of(channel)], self._gatherer(channel)
        total = self._total(channel)

        def call(sequence: int) -> None:
            slot = self.waits.room(outbox, means_of(channel), sequence)
            self._slots[means_of(channel)] = slot
            parts = [pieces.of(payload, at) for payload, at in gather.payloads(sequence)]
            for k, target in enumerate(pieces.of(slot, -pieces.start)):
                total.into(target, [p[k] for p in parts], self._spares(total, target))
            gather.release(sequence)
            outbox.publish(sequence, pieces.stop - pieces.start)

        return call

    def _take_slices(self, channel: str) -> Call:
        means = self._plan.channel(means_of(channel))
        inputs = self._programs[UPDATE].inputs
        packing = self._packings[channel]
        sources = []
        for task in replicas_in(self._ranges, means.producer):
            pieces = Pieces(packing, *slice_of(means, task, self._ranges))
            sources.append((task, self._inboxes.get((means.name, task)), pieces,
                            pieces.targets(inputs)))

        def call(sequence: int) -> None:
            for task, inbox, pieces, targets in sources:
                payload = (
                    self.waits.fetch(inbox, task, sequence) if inbox else self._slots[means.name])
                copy_all(targets, pieces.of(payload, -pieces.start, inputs))
                if inbox:
                    inbox.release(sequence)

        return call

    def _my_slice(self, channel: str) -> tuple[int, int]:
        return slice_of(self._plan.channel(means_of(channel)), str(self._me), self._ranges)


def scalars_of(bound: Bound) -> dict[str, Array]:
    """Loss and metrics of the gradient program."""
    return {
        name: view for name, view in bound.outputs.items()
        if view.ndim == 0 and (name == "loss" or name.startswith("metric."))
    }


class Gatherer:
    """The partial sums of a channel from all its producers, in order of their shards."""

    def __init__(
        self, channel: str, size: int, sources: Sequence[tuple[str, Inbox | None, int]],
        mine: Mapping[str, Bytes], waits: Waits,
    ):  # fmt: skip
        self._channel = channel
        self._size = size
        self._sources = sources
        self._mine = mine
        self._waits = waits

    def payloads(self, sequence: int) -> list[tuple[Bytes, int]]:
        """Each subtree's payload and the byte at which it begins."""
        found = []
        for producer, inbox, count in self._sources:
            payload = (
                self._waits.fetch(inbox, producer, sequence) if inbox
                else self._mine[self._channel]
            )
            found += [(payload, k * self._size) for k in range(count)]
        return found

    def release(self, sequence: int) -> None:
        for _, inbox, _ in self._sources:
            if inbox:
                inbox.release(sequence)


class Pieces:
    """The parts of a bucket's tensors that lie between two bytes of it, as flat arrays."""

    def __init__(self, packing: Packing, start: int, stop: int):
        self.start, self.stop = start, stop
        self._pieces = [
            (t.name, t.type.storage, low - t.offset, low, (high - low) // t.type.storage.itemsize)
            for t in packing.channel.tensors
            if (low := max(t.offset, start)) < (high := min(t.offset + t.type.bytes, stop))
        ]

    def of(
        self, payload: Bytes, begin: int, only: Mapping[str, Array] | None = None
    ) -> list[Array]:
        """Views into a payload whose bucket begins at byte `begin` of the array."""
        return [
            np.ndarray((count,), dtype, payload, begin + at)
            for name, dtype, _, at, count in self._pieces if only is None or name in only
        ]

    def targets(self, inputs: Mapping[str, Array]) -> list[Array]:
        """The same pieces of a program's inputs."""
        return [
            inputs[name].reshape(-1)[first // dtype.itemsize :][:count]
            for name, dtype, first, _, count in self._pieces if name in inputs
        ]


class KeptOutputs:
    """Sums of loss and metrics over my shards, on a stack like the gradients."""

    def __init__(self, mine: Range, shards: int, lanes: Sequence[Mapping[str, Array]]):
        self.names = tuple(lanes[0]) if lanes else ()
        self.ranges = subtrees(mine, shards)
        self._now = [np.zeros((), np.float32) for _ in self.names]
        self._lanes = [tuple(scalars.values()) for scalars in lanes]
        self._sums = PartialSums(mine, shards, self._now)
        self._levels: dict[int, list[Array]] = {}

    def add(self, shard: int, lane: int) -> None:
        copy_all(self._now, self._lanes[lane])
        self._sums.add(shard, self._level)

    def values(self, place: int) -> tuple[tuple[str, float], ...]:
        """By output the sum over subtree number `place` of mine."""
        level = self._level(place)
        return tuple((n, float(v)) for n, v in zip(self.names, level, strict=True))

    def _level(self, k: int) -> list[Array]:
        if k not in self._levels:
            self._levels[k] = [np.zeros((), np.float32) for _ in self.names]
        return self._levels[k]
