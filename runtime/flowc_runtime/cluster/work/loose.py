"""Steps that do not wait for everybody: backup workers, and asynchronous training.

Workers run on until they are interrupted: whoever applies their gradients decides how many steps
there are. With each gradient goes what its worker made of loss and metrics, behind the sums.

backup   A worker takes the newest variables there are, so one that has fallen behind leaves out
         what it cannot help any more. The ps takes the first `replicas - backups` gradients of a
         step, and drops those that come later (Chen et al. 2016, "Revisiting distributed
         synchronous SGD").
async    The ps applies gradients one by one as they come. A worker that is `max_staleness` steps
         ahead of the slowest waits for it (Ho et al. 2013, "More effective distributed ML via a
         stale synchronous parallel parameter server"). A gradient counts 1 / (1 + its staleness),
         after Zhang et al. 2016, "Staleness-aware async-SGD": N workers who take turns are N - 1
         steps stale, which acts like momentum of 1 - 1/N on top of the optimizer's own
         (Mitliagkas et al. 2016, "Asynchrony begets momentum"), and multiplies the length of a
         step by N. The weight takes that back, so that the rate of the synchronous run will do.
         And it is of weights that are looked ahead for, by as much as it was late before.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from flowc_runtime.cluster.exchange import Bytes, Exchange, Inbox, PeerLost
from flowc_runtime.cluster.messages import Counts, Share
from flowc_runtime.cluster.plan import UPDATE, Channel
from flowc_runtime.cluster.shards import subtrees
from flowc_runtime.cluster.work.ahead import Ahead, is_float, params_of
from flowc_runtime.cluster.work.boxes import TRAILER_BYTES, personal
from flowc_runtime.cluster.work.packing import copy_all, view_of
from flowc_runtime.cluster.work.runner import Call, Runner, Work
from flowc_runtime.cluster.work.table import (
    Op,
    SendVariables,
    Sum,
    TakeVariables,
    replicas_in,
)
from flowc_runtime.ops.op import Array

T = TypeVar("T")
PAUSE_SECONDS = 0.05  # before asking again for what did not come
COUNT_AT = TRAILER_BYTES // 4 - 1  # in the trailer: how many shards the sums are over


class LooseWorker(Runner):
    """A worker of either mode: variables, gradients of its shards, and again."""

    def run_until(self, after: int, until: int) -> None:
        """Runs until it is interrupted; raises Aborted, NonFinite, ExecutionError."""
        clock = 0
        while True:
            version = self._take_newest(clock)
            self.run_step(self._number(after, version), version)
            clock = version + 1

    def _number(self, base: int, version: int) -> int:
        """The step whose examples are computed: the next of all, or in async the next of mine."""
        if self._plan.sync.mode == "backup":
            return base + version + 1
        workers = replicas_in(self._ranges, self._me.role)
        return base + version * len(workers) + workers.index(str(self._me)) + 1

    def _take_newest(self, at_least: int) -> int:
        """Puts variables of one version into mine; its number, counted from the first."""
        while True:
            versions = {self._take(channel, at_least) for channel in self._variables()}
            if len(versions) == 1:
                return versions.pop()
            at_least = max(versions)  # one owner was already further than another

    def _take(self, channel: Channel, at_least: int) -> int:
        backup = self._plan.sync.mode == "backup"
        name = channel.name if backup else personal(channel.name, str(self._me))
        inbox = self._inboxes[name, channel.producer]
        targets = [view_of(self._session.variables, t.name) for t in channel.tensors]
        packing = self._packings[channel.name]
        if backup:
            with self.waits.on(channel.producer):
                version, payload = _patiently(lambda: inbox.fetch_newest(at_least))
            copy_all(targets, packing.views(payload))
            return version
        with self.waits.on(channel.producer):
            payload = _patiently(lambda: inbox.fetch(at_least))
        copy_all(targets, packing.views(payload))
        inbox.release(at_least)
        return at_least

    def _variables(self) -> list[Channel]:
        return [c for c in self._plan.channels
                if c.kind == "variables" and c.consumer == self._me.role]

    def _bind(self, op: Op) -> Call:
        if isinstance(op, TakeVariables):
            return lambda sequence: None  # all were taken when the step began
        return super()._bind(op)

    def _publish(self, channel: str) -> Call:
        outbox, size = self._outboxes[channel], self._sums_bytes(channel)

        def call(sequence: int) -> None:
            trailer = _trailer(self._slots[channel], size)
            trailer[COUNT_AT] = self._mine[1] - self._mine[0]
            for place in range(len(self.kept.ranges)):
                for k, (_, value) in enumerate(self.kept.values(place)[:COUNT_AT]):
                    trailer[k] = np.float32(value) + (trailer[k] if place else 0)
            outbox.publish(sequence, size + TRAILER_BYTES)

        return call


@dataclass
class Tally:
    """What became of one worker's gradients."""

    applied: int = 0
    dropped: int = 0
    staleness: int = 0


class LoosePs(Runner):
    """A ps of either mode: whose gradients it took, and what came with them."""

    def __init__(self, work: Work):
        super().__init__(work)
        assert work.exchange is not None
        self._exchange: Exchange = work.exchange
        self._sums = [c for c in self._plan.channels
                      if c.kind == "gradients" and c.consumer == self._me.role]
        self._workers = replicas_in(self._ranges, self._sums[0].producer)
        self.tallies = {worker: Tally() for worker in self._workers}
        self._trailers: list[Array] = []  # of the last step
        self._taken: dict[str, list[tuple[Bytes, int]]] = {}  # by channel: payloads of this step

    def shares(self, names: Sequence[str]) -> tuple[Share, ...]:
        """Loss and metrics of the last step, as if all shards had been counted."""
        counted = sum(float(t[COUNT_AT]) for t in self._trailers)
        if not counted or self._me.role != "ps:0":
            return ()
        scale = self._plan.shards / counted
        totals = [
            (name, scale * sum(float(t[k]) for t in self._trailers))
            for k, name in enumerate(names[:COUNT_AT])
        ]
        return (Share(0, self._plan.shards, tuple(totals)),)

    def counts(self) -> tuple[Counts, ...]:
        return tuple(
            Counts(worker, t.applied, t.dropped, t.staleness)
            for worker, t in self.tallies.items()
        )

    def _bind(self, op: Op) -> Call:
        if isinstance(op, Sum):
            return self._sum_taken(op.channel)
        if isinstance(op, SendVariables) and self._plan.sync.mode == "async":
            return lambda sequence: None  # each worker gets them when its turn has come
        return super()._bind(op)

    def _sum_taken(self, channel: str) -> Call:
        """Adds up what was taken, worker by worker: the order of workers, not of arrival."""
        packing, inputs = self._packings[channel], self._programs[UPDATE].inputs
        wanted = [
            (k, inputs[t.name]) for k, t in enumerate(packing.channel.tensors)
            if t.name in inputs
        ]

        def call(sequence: int) -> None:
            parts = [packing.views(payload, at) for payload, at in self._taken[channel]]
            for k, target in wanted:
                np.copyto(target, parts[0][k])
                for part in parts[1:]:
                    np.add(target, part[k], out=target)
                self._weigh(target)

        return call

    def _weigh(self, gradient: Array) -> None:
        """What counts of a sum of gradients, in place: here, all of it."""

    def _ready(self, worker: str, sequence: int) -> bool:
        return all(self._inboxes[c.name, worker].ready(sequence) for c in self._sums)

    def _take(self, workers: Sequence[str], sequences: Sequence[int]) -> None:
        """Fetches the gradients of these workers, each under its own number."""
        self._trailers = []
        for channel in self._sums:
            taken = self._taken[channel.name] = []
            for worker, sequence in zip(workers, sequences, strict=True):
                payload = self._inboxes[channel.name, worker].fetch(sequence)
                held = len(subtrees(self._ranges[worker], self._plan.shards))
                taken += [(payload, k * channel.bytes) for k in range(held)]
                if channel is self._sums[0]:
                    trailer = _trailer(payload, held * channel.bytes)
                    self._trailers.append(trailer.copy())

    def _release(self, worker: str, sequence: int) -> None:
        for channel in self._sums:
            self._inboxes[channel.name, worker].release(sequence)

    def _inbox(self, worker: str) -> Inbox:
        """The channel of a worker that is filled last: when it is there, all are."""
        return self._inboxes[self._sums[-1].name, worker]


class BackupPs(LoosePs):
    """Takes the first gradients of each step."""

    def run_step(self, step: int, sequence: int) -> None:
        wanted = len(self._workers) - self._plan.sync.backups
        chosen: list[str] = []
        while len(chosen) < wanted:
            left = [w for w in self._workers if w not in chosen]
            with self.waits.on("any of " + ", ".join(left)):
                place = self._exchange.wait_any([(self._inbox(w), sequence) for w in left])
            chosen.append(left[place])
        chosen.sort(key=self._workers.index)
        self._take(chosen, [sequence] * wanted)
        super().run_step(step, sequence)
        for worker in self._workers:
            self._release(worker, sequence)
            tally = self.tallies[worker]
            if worker in chosen:
                tally.applied += 1
            else:
                tally.dropped += 1


class AsyncPs(LoosePs):
    """Applies one gradient a step, of whichever worker has one."""

    def __init__(self, work: Work):
        super().__init__(work)
        self._clocks = dict.fromkeys(self._workers, 0)  # gradients applied, by worker
        self._given = dict.fromkeys(self._workers, 0)  # steps before the variables it has
        self._owed: list[str] = list(self._workers)  # those who wait for variables
        self._last = self._workers[-1]
        self._late = dict.fromkeys(self._workers, 0)  # staleness of its last gradient
        params = params_of(self._plan, self._me)
        self._ahead = {
            c.name: Ahead(self._packings[c.name], self._session.variables, params)
            for c in self._plan.channels
            if c.kind == "variables" and c.producer == self._me.role
        }

    def publish_variables(self) -> None:
        self._pay(0)

    def run_step(self, step: int, sequence: int) -> None:
        order = self._in_turn()
        with self.waits.on("any of " + ", ".join(order)):
            place = self._exchange.wait_any([(self._inbox(w), self._clocks[w]) for w in order])
        worker = self._last = order[place]
        clock = self._clocks[worker]
        self._late[worker] = sequence - self._given[worker]
        self._take([worker], [clock])
        for ahead in self._ahead.values():
            ahead.remember()
        super().run_step(step, sequence)
        self._release(worker, clock)
        tally = self.tallies[worker]
        tally.applied += 1
        tally.staleness = max(tally.staleness, self._late[worker])
        self._clocks[worker] += 1
        self._owed.append(worker)
        self._pay(sequence + 1)

    def _weigh(self, gradient: Array) -> None:
        late = self._late[self._last]
        if late and is_float(gradient):
            np.multiply(gradient, gradient.dtype.type(1 / (1 + late)), out=gradient)

    def _in_turn(self) -> list[str]:
        """The workers, beginning behind the one whose gradient was last: nobody is left out."""
        place = self._workers.index(self._last) + 1
        return [*self._workers[place:], *self._workers[:place]]

    def _pay(self, version: int) -> None:
        """Sends the variables as they are to all who wait and are not too far ahead."""
        slowest = min(self._clocks.values())
        ahead = self._plan.sync.max_staleness
        for worker in [w for w in self._owed if self._clocks[w] - slowest <= ahead]:
            self._owed.remove(worker)
            self._given[worker] = version
            self._send_to(worker)

    def _send_to(self, worker: str) -> None:
        clock = self._clocks[worker]
        for name, ahead in self._ahead.items():
            outbox = self._outboxes[personal(name, worker)]
            ahead.give(outbox.slot(clock), self._late[worker])
            outbox.publish(clock, self._plan.channel(name).bytes)


def make_runner(work: Work) -> Runner:
    """The runner that goes with the plan's way of meeting and the task's role."""
    if not work.plan.sync.loose:
        return Runner(work)
    if not work.me.role.startswith("ps:"):
        return LooseWorker(work)
    return BackupPs(work) if work.plan.sync.mode == "backup" else AsyncPs(work)


def _trailer(payload: Bytes, start: int) -> Array:
    return np.ndarray((TRAILER_BYTES // 4,), np.float32, payload, start)


def _patiently(wait: Callable[[], T]) -> T:
    """Waits as long as the generation lasts: a ps that was not told to go on sends nothing."""
    while True:
        try:
            return wait()
        except PeerLost:
            time.sleep(PAUSE_SECONDS)
