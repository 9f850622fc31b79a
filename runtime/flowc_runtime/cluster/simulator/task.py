"""The model of a task: obeys the coordinator as a real one does, and meets its peers each step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from flowc_runtime.cluster.messages import (
    PROTOCOL,
    Alive,
    Beat,
    Collect,
    Command,
    Configure,
    Configured,
    Done,
    Event,
    Failed,
    Finish,
    Goodbye,
    Hello,
    Load,
    Loaded,
    Ready,
    Run,
    Setup,
    Share,
    Values,
    Welcome,
)
from flowc_runtime.cluster.simulator.arithmetic import MODULUS, gradient, update
from flowc_runtime.cluster.simulator.world import World

BEAT_SECONDS = 0.5
NUMBER_BYTES = 8


@dataclass(frozen=True)
class Shape:
    """`owners` ps tasks, or with 0 every worker owns all variables (one number)."""

    workers: int
    owners: int
    shards: int
    step_seconds: float

    @property
    def numbers(self) -> int:
        """Of variables."""
        return max(1, self.owners)


class TaskModel:
    """A process. `tell` is its end of the line to the coordinator, None while it has none.

    `peer` finds the process of a task that is at an address, or None where it is gone.
    """

    def __init__(
        self, world: World, name: str, address: str, shape: Shape,
        peer: Callable[[str, str], TaskModel | None],
    ):  # fmt: skip
        self.world, self.name, self.address, self.shape = world, name, address, shape
        self.alive, self.frozen, self.slow = True, False, 1.0
        self.tell: Callable[[Event], None] | None = None
        self.talk = 0  # number of the conversation
        self._peer = peer
        self._late: deque[Callable[[], None]] = deque()  # what happened while it was frozen
        self._owner = int(name.partition(":")[2]) if name.startswith("ps:") else 0
        self._owns = name.startswith("ps:") or not shape.owners
        self._computes = name.startswith("worker:")
        self._forget()

    def _forget(self) -> None:
        self.step = -1
        self.value: int | None = None
        self.newest = 0  # generation that was heard of
        self.generation = 0  # that it takes part in
        self.heard = self.world.now
        self.lease = 5.0  # also where Hello does not come
        self.members: Mapping[str, tuple[str, int, int]] = {}
        self.out: dict[tuple[str, int], int] = {}  # payloads of this generation, by kind and step
        self._commands: deque[Command] = deque()
        self._run: Run | None = None
        self._computing = False

    # --- what happens to the process -------------------------------------------------------------

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Like World.after, unless the process or the conversation is over by then."""
        talk = self.talk

        def wake() -> None:
            if not self.alive or self.talk != talk:
                return
            if self.frozen:
                self._late.append(wake)
            else:
                call()

        self.world.after(seconds, wake)

    def freeze(self) -> None:
        self.frozen = True

    def thaw(self) -> None:
        self.frozen = False
        if not self.alive:
            return
        late, self._late = self._late, deque()
        for call in late:
            call()
        for task, (address, _, _) in self.members.items():
            self._wake(task, address)  # somebody may wait for what lies here

    def recover(self) -> None:
        self.slow = 1.0

    def open(self, tell: Callable[[Event], None]) -> None:
        """A coordinator has connected: a conversation begins with nothing known."""
        self.talk += 1
        self._forget()
        self.tell = tell
        self._beat()

    def close(self) -> None:
        """The conversation is over; so is whatever was under way."""
        self.talk += 1
        self.tell = None
        self._forget()

    # --- the conversation -------------------------------------------------------------------------

    def receive(self, command: Command) -> None:
        self.heard = self.world.now
        if isinstance(command, Configure):
            if command.generation <= self.newest:
                return
            self.newest = command.generation
            self._run, self._computing = None, False
        if not isinstance(command, Alive):
            self._commands.append(command)
            self._obey()

    def _beat(self) -> None:
        if self.world.now - self.heard > self.lease:
            self.close()
            return
        self._say(Beat(self.step, "computing" if self._run else "idle"))
        self.later(BEAT_SECONDS, self._beat)

    def _say(self, event: Event) -> None:
        if self.tell is not None:
            self.tell(event)

    def _obey(self) -> None:
        while self._commands and self._run is None:
            command = self._commands.popleft()
            if getattr(command, "generation", self.newest) == self.newest:
                self._do(command)

    def _do(self, command: Command) -> None:
        match command:
            case Hello(lease_seconds=lease):
                self.lease = lease
                self._say(Welcome(PROTOCOL, "", self.name, 1, 1, 1, 0.0, ""))
            case Setup():
                self.later(0.3 * self.world.random.random(), lambda: self._say(Ready(1, 1, "x")))
            case Configure(generation, members):
                self.generation = generation
                self.members = {m.task: (m.address, m.start, m.stop) for m in members}
                self.out = {}
                self._say(Configured(generation, self.step))
            case Load():
                self._load(command)
            case Run():
                self._begin(command)
            case Collect(generation, _, paths):
                assert self.value is not None
                data = self.value.to_bytes(NUMBER_BYTES, "big")
                self._say(Values(generation, self.step, paths[0], 0, data, True))
            case Finish():
                self._say(Goodbye())

    def _load(self, command: Load) -> None:
        self.value = int.from_bytes(command.data, "big")
        self.step = command.step
        self._say(Loaded(command.generation, command.step))

    # --- steps ---------------------------------------------------------------------------------

    def _begin(self, command: Run) -> None:
        self._run = command
        if not self._owns:
            self.step = command.after
        elif self.step != command.after:
            raise AssertionError(f"{self.name} stands at {self.step}, not at {command.after}")
        self._publish("variables", self.step, self.value or 0)
        self._go_on()

    def _publish(self, kind: str, step: int, value: int) -> None:
        self.out[kind, step] = value
        for task, (address, _, _) in self.members.items():
            if task != self.name and address:
                self.world.after(self.world.soon(), partial(self._wake, task, address))

    def _wake(self, task: str, address: str) -> None:
        peer = self._peer(task, address)
        if peer is not None and peer.alive and not peer.frozen:
            peer._go_on()

    def _go_on(self) -> None:
        """Something has come, or time has passed: what of the step can be done now?"""
        run = self._run
        if run is None or self._computing:
            return
        if self.step >= run.until:
            self._run = None
            self._say(self._done())
            self._obey()
            return
        if self._computes and ("gradient0", self.step + 1) not in self.out:
            self._compute()
        elif self._owns:
            self._commit()
        else:
            self._next_variables()

    def _done(self) -> Done:
        shares: tuple[Share, ...] = ()
        if self._computes:
            _, start, stop = self.members[self.name]
            shares = tuple(Share(k, k + 1, (("loss", float(self.step)),))
                           for k in range(start, stop))  # fmt: skip
        seconds = self.shape.step_seconds * self.slow
        return Done(self.generation, self.step, shares, (), seconds, 0.0, "")

    def _compute(self) -> None:
        """The gradients of my shards, once all variables are there."""
        variables = self._variables(self.step)
        if variables is None:
            return
        self._computing = True
        run = self._run
        seconds = self.shape.step_seconds * self.slow * (0.5 + self.world.random.random())
        self.later(seconds, lambda: self._computed(run, variables))

    def _computed(self, run: Run | None, variables: Mapping[int, int]) -> None:
        if self._run is not run or run is None:
            return  # a generation that is over
        self._computing = False
        _, start, stop = self.members[self.name]
        for owner in range(self.shape.numbers):
            value = gradient(self.step + 1, range(start, stop), owner, variables)
            self._publish(f"gradient{owner}", self.step + 1, value)
        self._go_on()

    def _variables(self, step: int) -> Mapping[int, int] | None:
        if self._owns:
            return {0: self.value or 0}
        found = {}
        for owner in range(self.shape.owners):
            value = self._pull(f"ps:{owner}", "variables", step)
            if value is None:
                return None
            found[owner] = value
        return found

    def _commit(self) -> None:
        """The update, once all gradients are there."""
        total = 0
        for task, (_, start, stop) in self.members.items():
            if task.startswith("worker:") and start < stop:
                value = self._pull(task, f"gradient{self._owner}", self.step + 1)
                if value is None:
                    return
                total = (total + value) % MODULUS
        assert self.value is not None
        self.value = update(self.value, self.step + 1, total)
        self.step += 1
        self._publish("variables", self.step, self.value)
        self._go_on()

    def _next_variables(self) -> None:
        """A worker without variables of its own has done a step when they come back."""
        if self._variables(self.step + 1) is not None:
            self.step += 1
            self._go_on()

    def _pull(self, task: str, kind: str, step: int) -> int | None:
        """A peer's payload, or None while it is not there; a peer that is gone is told of."""
        if task == self.name:
            return self.out.get((kind, step))
        peer = self._peer(task, self.members[task][0])
        if peer is None or not peer.alive:
            self._later_lost(task, 0.05)
        elif self.world.apart(self.name, task):
            self._later_lost(task, 3.0)
        elif not peer.frozen and peer.generation == self.generation:
            return peer.out.get((kind, step))
        return None

    def _later_lost(self, task: str, seconds: float) -> None:
        run = self._run

        def lost() -> None:
            if run is None or self._run is not run:
                return
            peer = self._peer(task, self.members[task][0])
            if peer is None or not peer.alive or self.world.apart(self.name, task):
                self._run, self._computing = None, False
                self._say(Failed(self.generation, self.step, "peer-lost", "gone", "", "", "", "",
                                 task))  # fmt: skip
                self._obey()
            else:
                self._go_on()

        self.later(seconds * (0.5 + self.world.random.random()), lost)
