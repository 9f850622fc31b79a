"""One simulated training: the coordinator's machine, tasks, faults, and what must be true."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import partial

from flowc_runtime.cluster.coordinator.events import (
    Action,
    Advance,
    Advanced,
    Began,
    Begin,
    Connected,
    Event,
    Fail,
    Job,
    KeepValues,
    Kill,
    LoadValues,
    Lost,
    Notice,
    Received,
    Send,
    Settle,
    Settled,
    Start,
    Stop,
    Stopped,
    Tick,
)
from flowc_runtime.cluster.coordinator.layout import Group, Layout
from flowc_runtime.cluster.coordinator.machine import Machine
from flowc_runtime.cluster.messages import Command, Configure, Load
from flowc_runtime.cluster.messages import Event as Message
from flowc_runtime.cluster.simulator.arithmetic import undisturbed
from flowc_runtime.cluster.simulator.faults import Fault, draw
from flowc_runtime.cluster.simulator.processes import Processes
from flowc_runtime.cluster.simulator.task import NUMBER_BYTES, Shape, TaskModel
from flowc_runtime.cluster.simulator.world import World

TICK_SECONDS = 0.25
KEEPALIVE_SECONDS = 3.0  # until both ends notice that a line is cut
RESENT_SECONDS = 0.2  # what could not get through a cut line is sent again
LONGEST_RUN_SECONDS = 400.0


class Broken(AssertionError):
    """Something that must be true is not."""


@dataclass
class Report:
    """What a run came to."""

    seed: int
    steps: int
    faults: tuple[Fault, ...]
    virtual_seconds: float = 0.0
    generations: int = 0
    notices: list[str] = field(default_factory=list)


@dataclass
class Line:
    """A connection from the coordinator to a process: in order, both ways."""

    process: TaskModel
    talk: int  # the process's number of the conversation
    open: bool = True
    there: float = 0.0  # when the last command arrives
    here: float = 0.0  # when the last event arrives
    commands: deque[Command] = field(default_factory=deque)  # on their way
    events: deque[Message] = field(default_factory=deque)


class Simulation:
    """A cluster, a coordinator, and the training that drives it."""

    def __init__(self, seed: int):
        self.world = World(seed)
        random = self.world.random
        workers = random.randint(1, 4)
        self.shape = Shape(
            workers, random.choice((0, 0, 1, 1, 2)), random.choice((2, 4, 8)),
            random.choice((0.01, 0.05, 0.2)),
        )  # fmt: skip
        self.steps = random.randint(5, 25)
        self.settle_every = random.randint(3, 12)
        self.layout = _layout(self.shape)
        faults = draw(random, self.layout.tasks, self.steps * self.shape.step_seconds * 1.5)
        self.report = Report(seed, self.steps, faults)
        self._processes = Processes(self.world, self.shape, random.random() < 0.4)
        self._lines: dict[str, Line] = {}
        self._checkpoint = (0, dict(undisturbed(0, self.shape.numbers, self.shape.shards)))
        self._newest_generation = 0
        self._session = 0  # of the coordinator: it may die, and another one goes on

    # --- a run ---------------------------------------------------------------------------------

    def run(self) -> Report:
        world = self.world
        if self._processes.by_hand:
            for task in self.layout.tasks:
                self._processes.boot(task, world.random.random())
        for fault in self.report.faults:
            world.after(fault.at, partial(self._happen, fault))
        self._coordinate()
        world.run(LONGEST_RUN_SECONDS)
        if not world.over:
            raise Broken("nothing happens any more, but the training is not at its end")
        self.report.virtual_seconds = world.now
        return self.report

    def _coordinate(self) -> None:
        """A coordinator begins, from the last checkpoint."""
        self._session += 1
        step, values = self._checkpoint
        self._values = dict(values)
        self._collected: dict[int, int] = {}
        self._position = step
        patient = frozenset(self.layout.tasks if self._processes.by_hand else ())
        self._machine = Machine(
            self.layout, Job("0", str(self._session), "", "", 0, 1, "numpy", patient), None,
            self.shape.step_seconds, self._newest_generation + 1)  # fmt: skip
        self._handle(Begin(step))
        self._tick(self._session)

    def _tick(self, session: int) -> None:
        if session == self._session:
            self._handle(Tick())
            self.world.after(TICK_SECONDS, lambda: self._tick(session))

    def _handle(self, event: Event) -> None:
        for action in self._machine.handle(event, self.world.now):
            self._do(action)

    def _handle_of(self, session: int, event: Event) -> None:
        """Something that a coordinator hears if it is still the same one."""
        if session == self._session:
            self._handle(event)

    def _do(self, action: Action) -> None:
        match action:
            case Start(task, life):
                self._start(task, life)
            case Kill(task):
                self._hang_up(task)
            case Send(task, _, command):
                self._send(task, command)
            case LoadValues(task, _, generation, step, paths):
                data = self._values[int(paths[0])].to_bytes(NUMBER_BYTES, "big")
                self._send(task, Load(generation, step, paths[0], 0, data, True))
            case KeepValues(values):
                self._collected[int(values.path)] = int.from_bytes(values.data, "big")
            case Notice(_, message):
                self.report.notices.append(message)
            case Fail(error):
                raise Broken(f"the training failed: {error.code}: {error}")
            case Began() | Advanced() | Settled() | Stopped():
                # The training asks for more when the machine has finished what it is at.
                session = self._session
                self.world.after(0.0, lambda: self._train(session, action))

    # --- the training loop ----------------------------------------------------------------------

    def _train(self, session: int, answer: Began | Advanced | Settled | Stopped) -> None:
        if session != self._session:
            return
        match answer:
            case Began() if self._position == self.steps:
                self._handle(Stop())  # the one before ended just before its end
            case Began():
                self._next()
            case Advanced(step, shares):
                self._check_advance(step, len(shares))
                self._position = step
                if step % self.settle_every == 0 or step == self.steps:
                    self._handle(Settle(step))
                else:
                    self._next()
            case Settled(step):
                self._check_values(step)
                if step == self.steps:
                    self._handle(Stop())
                else:
                    self._next()
            case Stopped():
                self.world.over = True

    def _next(self) -> None:
        border = (self._position // self.settle_every + 1) * self.settle_every
        self._until = min(border, self.steps)
        self._handle(Advance(self._until))

    def _check_advance(self, step: int, shares: int) -> None:
        if not self._position < step <= self._until:
            raise Broken(f"from step {self._position} on to {step}, {self._until} was the limit")
        if not 0 < shares <= self.shape.shards:
            raise Broken(f"step {step} has outputs of {shares} of {self.shape.shards} shards")

    def _check_values(self, step: int) -> None:
        self._values.update(self._collected)
        self._collected.clear()
        if self._values != undisturbed(step, self.shape.numbers, self.shape.shards):
            raise Broken(f"the variables after step {step} are not those of an undisturbed run")
        self._checkpoint = (step, dict(self._values))

    # --- processes and lines ----------------------------------------------------------------------

    def _start(self, task: str, life: int) -> None:
        session = self._session
        if not self._processes.by_hand:
            self._processes.kill(task)
            seconds = 0.3 + 0.4 * self.world.random.random()
            self._processes.boot(task, seconds)
        else:
            seconds = self.world.soon()
        self.world.after(seconds + 0.001, lambda: self._connect(session, task, life))

    def _connect(self, session: int, task: str, life: int) -> None:
        if session != self._session:
            return
        process = self._processes.of(task)
        if process is None or not process.alive:
            self._handle(Lost(task, life, "host-refused", "nothing listens there"))
        elif process.frozen or task in self.world.cut:
            lost = Lost(task, life, "host-unreachable", "no answer")
            self.world.after(1.0, lambda: self._handle_of(session, lost))
        elif process.tell is not None:
            self._handle(Lost(task, life, "task-busy", "serves another coordinator"))
        else:
            self._open_line(session, process, task, life)

    def _open_line(self, session: int, process: TaskModel, task: str, life: int) -> None:
        line = self._lines[task] = Line(process, process.talk + 1)

        def tell(message: Message) -> None:
            line.events.append(message)
            line.here = max(line.here, self.world.now + self.world.soon())
            self.world.after(line.here - self.world.now, arrive)

        def arrive() -> None:
            if not line.open or session != self._session:
                return
            if task in self.world.cut:
                self.world.after(RESENT_SECONDS, arrive)
            else:
                self._handle(Received(task, life, line.events.popleft()))

        process.open(tell)
        self._watch_line(session, line, task, life)
        self._handle(Connected(task, life, process.address))

    def _watch_line(self, session: int, line: Line, task: str, life: int) -> None:
        """Notices at both ends when the other one is gone, as keepalive does."""

        def look(cut_since: float | None) -> None:
            if not line.open or session != self._session:
                return
            process, now = line.process, self.world.now
            if not process.alive or process.talk != line.talk:
                line.open = False
                self._handle(Lost(task, life, "task-lost", "died"))
                return
            quiet = task in self.world.cut or process.frozen
            since = (cut_since if cut_since is not None else now) if quiet else None
            if since is not None and now - since > KEEPALIVE_SECONDS:
                line.open = False
                self._drop(line)
                self._handle(Lost(task, life, "task-lost", "lost its connection"))
                return
            self.world.after(0.1, lambda: look(since))

        look(None)

    def _drop(self, line: Line) -> None:
        """The other end notices too, once it can."""
        process = line.process
        if process.talk == line.talk:
            process.later(0.01, lambda: process.close() if process.talk == line.talk else None)

    def _hang_up(self, task: str) -> None:
        line = self._lines.pop(task, None)
        if line is not None:
            line.open = False
            if task not in self.world.cut:
                self._drop(line)
        if not self._processes.by_hand:
            self._processes.kill(task)

    def _send(self, task: str, command: Command) -> None:
        if isinstance(command, Configure):
            self._check_generation(command)
        line = self._lines.get(task)
        if line is None or not line.open:
            return
        process = line.process
        line.commands.append(command)
        line.there = max(line.there, self.world.now + self.world.soon())

        def arrive() -> None:
            if not line.open or process.talk != line.talk:
                return
            if task in self.world.cut:
                process.later(RESENT_SECONDS, arrive)
            else:
                process.receive(line.commands.popleft())

        process.later(line.there - self.world.now, arrive)

    def _check_generation(self, command: Configure) -> None:
        if command.generation < self._newest_generation:
            raise Broken(f"generation {command.generation} after {self._newest_generation}")
        self.report.generations += command.generation > self._newest_generation
        self._newest_generation = command.generation

    # --- faults --------------------------------------------------------------------------------

    def _happen(self, fault: Fault) -> None:
        processes, task, seconds = self._processes, fault.task, fault.seconds
        match fault.kind:
            case "kill":
                processes.crash(task)
            case "freeze":
                processes.freeze(task, seconds)
            case "cut":
                processes.cut(task, seconds)
            case "hang up":
                processes.hang_up(task)
            case "slow":
                processes.slow(task, seconds)
            case "coordinator":
                self._new_coordinator()

    def _new_coordinator(self) -> None:
        """It dies, and another one resumes from the last checkpoint."""
        self._session += 1
        for task in tuple(self._lines):
            self._hang_up(task)
        if not self._processes.by_hand:
            self._processes.kill_all()
        self.world.after(0.5, self._coordinate)


def simulate(seed: int) -> Report:
    """Raises Broken, Endless or whatever else goes wrong."""
    return Simulation(seed).run()


def _layout(shape: Shape) -> Layout:
    workers = tuple(f"worker:{k}" for k in range(shape.workers))
    owners = tuple(f"ps:{k}" for k in range(shape.owners))
    if owners:
        groups = tuple(Group((name,), (str(k),), (str(k),), 8) for k, name in enumerate(owners))
    else:
        groups = (Group(workers, ("0",), ("0",), 8),)
    return Layout((*workers, *owners), {w: k for k, w in enumerate(workers)}, groups, shape.shards)
