"""The coordinator's brain: events in, actions out, without a clock, a socket or a thread.

It forms generations of the tasks that are there, brings their variables to one step, and has
them do windows of steps. Whatever goes wrong leads back to forming the next generation:

    GATHERING → CONFIGURING → (LOADING →) STANDING → RUNNING → STANDING …
                                              ↓
                                          COLLECTING → STANDING …
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum, auto

from flowc_runtime.cluster.coordinator.agreement import Agreement, agree
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
    Limits,
    LoadValues,
    Lost,
    Notice,
    Received,
    Settle,
    Settled,
    Stop,
    Stopped,
    Tick,
)
from flowc_runtime.cluster.coordinator.layout import Layout
from flowc_runtime.cluster.coordinator.pace import Pace
from flowc_runtime.cluster.coordinator.roster import Roster, State
from flowc_runtime.cluster.coordinator.story import Loss, Story
from flowc_runtime.cluster.coordinator.tallies import Tallies
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.messages import (
    Beat,
    Collect,
    Command,
    Configure,
    Configured,
    Done,
    Failed,
    Finish,
    Goodbye,
    Load,
    Loaded,
    Member,
    Ready,
    Run,
    Share,
    Values,
    Welcome,
)
from flowc_runtime.cluster.shards import Range

JUMP_SECONDS = 1.5  # between two events: then this process stood still, not the tasks

SILENT_SECONDS = 1.0  # before a loss: then that is when it happened


class Phase(Enum):
    GATHERING = auto()  # too few tasks are there
    CONFIGURING = auto()  # a generation begins: where do its members stand?
    LOADING = auto()  # those who stand elsewhere are given variables
    STANDING = auto()  # all stand at the same step
    RUNNING = auto()
    COLLECTING = auto()  # variables are fetched
    ENDED = auto()


class TaskFailed(ClusterError):
    """What a task said is the reason that the training cannot go on."""

    def __init__(self, task: str, failed: Failed):
        super().__init__(failed.code, f"{task}: {failed.message}", failed.help or None)
        self.failed = failed


class Machine:
    """`handle` takes every event, with the time in seconds, and says what is to be done.

    One of Advance and Settle is under way at a time. `first_generation` must be larger than any
    that tasks have seen of an earlier coordinator.
    """

    def __init__(
        self, layout: Layout, job: Job, limits: Limits | None = None,
        step_seconds: float | None = None, first_generation: int = 1,
    ):  # fmt: skip
        self._layout = layout
        self._limits = limits or Limits()
        self._roster = Roster(layout.tasks, job, self._limits)
        self._pace = Pace(step_seconds, self._limits)
        self._story = Story()
        self.tallies = Tallies()
        self._out: list[Action] = []
        self._now = 0.0
        self._last: float | None = None  # when the last event came

        self.phase = Phase.GATHERING
        self._entered = 0.0  # the phase
        self._moved = 0.0  # when there was progress in it
        self._generation = first_generation - 1
        self._members: dict[str, Range] = {}
        self._trusted: set[str] = set()  # whose variables are of this line of steps
        self._stands: dict[str, int] = {}  # what the members say
        self._agreement = Agreement(0, {}, {})
        self._awaited: set[str] = set()  # tasks, in whatever phase
        self._running = False  # those who run on have been told to, in this generation
        self._fruitless = 0  # generations since a step was done
        self._doubts: dict[str, tuple[float, str, str]] = {}  # by peer: since when, whose, why
        self._told_waiting = False

        self._step = 0  # where the members stand, or stood last
        self._target = 0  # of the window
        self._done: dict[str, Done] = {}  # answers for the window
        self._progress = -1
        self._at_hand = -1  # the step of the values at hand; -1 before Begin
        self._told = 0  # the last step that an Advanced told of
        self._shares: tuple[Share, ...] = ()  # of that step
        self._goal: Advance | Settle | None = None
        self._began = False
        self._stopping = False

    @property
    def step_seconds(self) -> float | None:
        """What a step takes, measured; None before the first."""
        return self._pace.step_seconds

    def handle(self, event: Event, now: float) -> list[Action]:
        self._pass_time(now)
        try:
            self._handle(event)
        except TaskFailed as error:
            self._fail(Fail(error, error.failed))
        except ClusterError as error:
            self._fail(Fail(error))
        actions, self._out = self._out, []
        return actions

    def _handle(self, event: Event) -> None:
        match event:
            case Received(task, life, message):
                if self._roster.is_now(task, life):
                    self._received(task, message)
            case Tick():
                self._tick()
            case Connected(task, life, address):
                if self._roster.is_now(task, life) and self.phase is not Phase.ENDED:
                    self._out += self._roster.connected(task, address, self._now)
            case Lost():
                self._lose(event)
            case Begin(step):
                self._at_hand = self._told = self._step = step
                self._turn(Phase.GATHERING)
                self._out += self._roster.begin(self._now)
            case Advance() | Settle():
                self._goal = event
                self._go_on()
            case Stop():
                self._stop()

    def _pass_time(self, now: float) -> None:
        gap = now - (self._last if self._last is not None else now)
        if gap > JUMP_SECONDS:
            self._roster.shift(gap)
            self._entered += gap
            self._moved += gap
            self._doubts = {p: (at + gap, who, why) for p, (at, who, why) in self._doubts.items()}
        self._now = self._last = now

    def _turn(self, phase: Phase) -> None:
        self.phase, self._entered, self._moved = phase, self._now, self._now

    def _send(self, task: str, command: Command) -> None:
        self._out.append(self._roster.send(task, command))

    # --- what tasks say ----------------------------------------------------------------------

    def _received(self, task: str, message: object) -> None:
        self._roster[task].heard = self._now
        if task in self._doubts and self.phase is not Phase.ENDED:
            self._peer_lives(task)
        match message:
            case Beat(step, doing):
                record = self._roster[task]
                record.step, record.doing = step, doing
            case Goodbye():
                self._gone(task)
            case _ if self.phase is Phase.ENDED:
                pass
            case Welcome():
                self._out += self._roster.welcomed(task, message, self._now)
            case Ready():
                self._roster.set_up(task, message, self._now)
                self._there_is_more()
            case Failed():
                self._failed(task, message)
            case Configured() | Loaded() | Done() | Values():
                if message.generation == self._generation and task in self._members:
                    self._answered(task, message)

    def _answered(self, task: str, message: Configured | Loaded | Done | Values) -> None:
        """An answer of a member, in this generation."""
        match message, self.phase:
            case Configured(_, step), Phase.CONFIGURING:
                self._stands[task] = step
                if self._answer_of(task):
                    self._agree()
            case Values(), Phase.LOADING:
                self._pass_on(task, message)
            case Loaded(), Phase.LOADING:
                self._trusted.add(task)
                if self._answer_of(task):
                    self._stand()
            case Done(), _:
                self._done_by(task, message)
            case Values(), Phase.COLLECTING:
                self._collected(task, message)

    def _answer_of(self, task: str) -> bool:
        """Whether this was the last answer that was waited for."""
        self._moved = self._now
        waited = task in self._awaited
        self._awaited.discard(task)
        return waited and not self._awaited

    def _failed(self, task: str, failed: Failed) -> None:
        record = self._roster[task]
        if record.state is not State.READY:
            raise TaskFailed(task, failed)
        if failed.generation != self._generation or task not in self._members:
            return
        if failed.peer:
            if self.phase is Phase.RUNNING:
                self._doubt(failed.peer, task, failed.message)
        elif failed.code in ("task-bug", "task-memory"):
            self._lose(Lost(task, record.life, failed.code, f"failed: {failed.message}"))
        else:
            raise TaskFailed(task, failed)

    # --- losses --------------------------------------------------------------------------------

    def _lose(self, *losses: Lost) -> None:
        """Tasks are lost at the same time; if one took part, a new generation begins."""
        current = [lost for lost in losses if self._roster.is_now(lost.task, lost.life)]
        if self.phase is Phase.ENDED:
            for lost in current:
                self._gone(lost.task)
            return
        for lost in current:
            self._lose_one(lost)
        if self.phase is not Phase.GATHERING and any(t.task in self._members for t in current):
            self._gather()

    def _lose_one(self, lost: Lost) -> None:
        name, record = lost.task, self._roster[lost.task]
        if record.state is State.READY and self._roster.formed:
            step = max(self._step, record.step)
            silent = self._now - record.heard > SILENT_SECONDS
            since = record.heard if silent else self._now
            self._story.lost(Loss(name, lost.reason, step, since))
        self._trusted.discard(name)
        self._doubts.pop(name, None)
        self._out.append(Kill(name, record.life))
        self._out += self._roster.lose(lost, self._now)

    def _doubt(self, peer: str, witness: str, why: str) -> None:
        """A task cannot get at a peer. A sign of life of it decides whose fault that is."""
        if peer in self._members:
            self._doubts.setdefault(peer, (self._now, witness, why))
        else:
            self._gather()

    def _peer_lives(self, peer: str) -> None:
        since, witness, why = self._doubts.pop(peer)
        if witness not in self._members or peer not in self._members:
            return
        if self._fruitless >= self._limits.out_of_touch:
            raise ClusterError(
                "peer-unreachable",
                f"{witness} cannot get anything from {peer} at {self._roster[peer].address}, "
                f"although both answer: {why}",
                "can the two hosts reach each other at these addresses, or is a firewall between?",
            )
        reason = f"got nothing from {peer} ({why})"
        self._story.lost(Loss(witness, reason, self._step, since, stayed=True))
        self._gather()

    # --- a generation --------------------------------------------------------------------------

    def _gather(self) -> None:
        self._turn(Phase.GATHERING)
        self._doubts.clear()
        self._configure()

    def _there_is_more(self) -> None:
        """A task has become ready."""
        if self.phase is Phase.GATHERING:
            self._configure()
        elif self.phase is Phase.STANDING:
            self._go_on()

    def _configure(self) -> None:
        """Begins a generation, if enough tasks are there; the first one waits for all."""
        ready = self._roster.ready
        members = self._layout.members(ready)
        if members is None or not (self._roster.formed or len(ready) == len(self._layout.tasks)):
            return
        self._roster.formed = True
        self._count_fruitless()
        self._generation += 1
        self._members, self._awaited = members, set(members)
        self._stands, self._running = {}, False
        self.tallies.new_generation()
        self._turn(Phase.CONFIGURING)
        everybody = tuple(self._member(name, members) for name in self._layout.tasks)
        for name in members:
            self._send(name, Configure(self._generation, everybody))

    def _member(self, name: str, members: Mapping[str, Range]) -> Member:
        """A task that takes no part has no shards, and nobody needs its address."""
        if name not in members:
            return Member(name, "", "", 0, 0)
        record = self._roster[name]
        return Member(name, record.address, record.token, *members[name])

    def _count_fruitless(self) -> None:
        self._fruitless += 1
        if self._fruitless > self._limits.fruitless:
            raise ClusterError(
                "task-stuck",
                f"no step was made in {self._limits.fruitless} attempts; the last time "
                f"{self._story.last or 'a task did not join in'}",
            )

    def _agree(self) -> None:
        """All members have said where they stand."""
        stands = {t: s for t, s in self._stands.items() if t in self._trusted}
        empty = {t for t, s in self._stands.items() if s < 0}
        groups, members, at_hand = self._layout.groups, self._members, self._at_hand
        agreed = agree(groups, stands, empty, members, at_hand, least=at_hand)
        if self._cannot_tell(agreed.step):
            agreed = agree(groups, {}, empty, members, at_hand, least=at_hand)
        self._agreement = agreed
        self._trusted -= agreed.loading
        self._awaited = set(agreed.loading)
        self._turn(Phase.LOADING)
        for source in agreed.peers:
            paths = next(g.loads for g in groups if source in g.tasks)
            self._send(source, Collect(self._generation, agreed.step, paths))
        for task, paths in agreed.here.items():
            life = self._roster[task].life
            self._out.append(LoadValues(task, life, self._generation, agreed.step, paths))
        if not self._awaited:
            self._stand()

    def _cannot_tell(self, step: int) -> bool:
        """Whether an answer is due that nobody has: the outputs of that step are lost."""
        if not isinstance(self._goal, Advance) or step < self._goal.until:
            return False
        return step > self._at_hand and not self._outputs_at(step) and not self._shares

    def _pass_on(self, source: str, values: Values) -> None:
        self._moved = self._now
        for task in self._agreement.peers.get(source, ()):
            self._send(task, Load(self._generation, self._agreement.step, values.path,
                                  values.offset, values.data, values.last))  # fmt: skip

    def _stand(self) -> None:
        """All members stand at the step agreed on."""
        self._step = self._agreement.step
        self._trusted = set(self._members)
        self._turn(Phase.STANDING)
        self._out += self._story.goes_on(self._members, self._step, self._now)
        if not self._began:
            self._began = True
            self._out.append(Began())
        self._go_on()

    # --- steps ---------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """All stand at one step: what is next?"""
        if self.phase is not Phase.STANDING:
            return
        members = self._layout.members(self._roster.ready)
        if members is not None and len(members) > len(self._members):
            self._configure()
            return
        match self._goal:
            case Advance(until) if self._step >= until:
                self._tell(self._step, self._outputs_at(self._step) or self._shares)
            case Advance(until):
                self._run(until)
            case Settle(step) if self._at_hand == step:
                self._settled()
            case Settle(step) if self._step < step:
                self._run(step)
            case Settle():
                self._collect()

    def _run(self, until: int) -> None:
        self._target = min(until, self._step + self._pace.window())
        counting = self._layout.counting(self._members)
        self._awaited = set(counting)
        self._done.clear()
        self._progress = -1
        self._turn(Phase.RUNNING)
        for task in self._members:
            if task in self._awaited or not self._running:
                self._send(task, Run(self._generation, self._step, self._target))
        self._running = True

    def _done_by(self, task: str, done: Done) -> None:
        if self.phase is not Phase.RUNNING or done.step != self._target:
            return
        self._done[task] = done
        if not self._answer_of(task):
            return
        self._pace.add(self._target - self._step, self._now - self._entered)
        self._fruitless = 0
        self._step = self._target
        self._turn(Phase.STANDING)
        self._tell_slow()
        if isinstance(self._goal, Advance) and self._step > self._told:
            self._tell(self._step, self._outputs_at(self._step))
        self._go_on()

    def _outputs_at(self, step: int) -> tuple[Share, ...]:
        """What the members said of the step, as far as they did."""
        return tuple(s for done in self._done.values() if done.step == step for s in done.shares)

    def _tell(self, step: int, shares: tuple[Share, ...]) -> None:
        self._told, self._shares, self._goal = step, shares, None
        self._out.append(Advanced(step, shares))

    def _tell_slow(self) -> None:
        computing = {
            task: done.computing / (stop - start)
            for task, done in self._done.items()
            for start, stop in (self._members[task],)
            if stop > start
        }
        messages = [self._pace.slow(computing)]
        for task, done in self._done.items():
            self.tallies.add(task, done.counts)
        for counts in self.tallies.current.values():
            messages.append(self._pace.dropped(counts.task, counts.applied, counts.dropped))
        self._out += [Notice("task-slow", message) for message in messages if message]

    # --- variables for the coordinator ----------------------------------------------------------

    def _collect(self) -> None:
        self._awaited = set()
        self._turn(Phase.COLLECTING)
        for group in self._layout.groups:
            if group.changing:
                source = next(t for t in group.tasks if t in self._members)
                self._awaited.add(source)
                self._send(source, Collect(self._generation, self._step, group.changing))
        if not self._awaited:
            self._settled()

    def _collected(self, task: str, values: Values) -> None:
        if task not in self._awaited:
            return
        if values.step != self._step:
            raise ClusterError(
                "task-bug", f"{task} gave its variables after step {values.step}, not {self._step}")
        self._moved = self._now
        self._out.append(KeepValues(values))
        if values.last and self._answer_of(task):
            self._settled()

    def _settled(self) -> None:
        self._at_hand = self._step
        self._goal = None
        self._turn(Phase.STANDING)
        self._out.append(Settled(self._at_hand))
        self._go_on()

    # --- time ----------------------------------------------------------------------------------

    def _tick(self) -> None:
        if self.phase is Phase.ENDED:
            if self._now - self._entered > self._limits.goodbye:
                self._gone(*self._layout.tasks)
            return
        if self._at_hand < 0:
            return
        self._out += self._roster.due(self._now)
        self._lose(*self._roster.overdue(self._now))
        for peer, (since, witness, _) in tuple(self._doubts.items()):
            if self._now - since > self._limits.doubt and peer in self._doubts:
                self._lose_now((peer,), f"did not answer {witness}, and has been silent since")
        self._watch()

    def _watch(self) -> None:
        """Whether the phase takes too long, and who is to blame."""
        waited, quiet, limits = self._now - self._entered, self._now - self._moved, self._limits
        match self.phase:
            case Phase.GATHERING:
                self._watch_gathering(waited)
            case Phase.CONFIGURING if waited > limits.configuring:
                self._lose_now(self._awaited, "did not join the others")
            case Phase.LOADING if quiet > limits.moving + self._moving_seconds():
                blamed = self._awaited | set(self._agreement.peers)
                self._lose_now(blamed, "did not take part when variables were handed on")
            case Phase.COLLECTING if quiet > limits.moving:
                self._lose_now(self._awaited, "did not give its variables")
            case Phase.RUNNING:
                self._watch_steps()

    def _watch_gathering(self, waited: float) -> None:
        missing = self._layout.missing(self._roster.ready)
        if self._roster.formed and waited > self._limits.coming_back:
            raise ClusterError(
                "task-lost",
                f"{missing[0]} has not come back within {self._limits.coming_back:g} s: "
                f"{self._story.last}",
                "`--resume` goes on from the last checkpoint once it is there again",
            )
        if not self._roster.formed and waited > self._limits.waiting_told:
            if not self._told_waiting:
                self._told_waiting = True
                self._out.append(Notice("task-waited-for", f"waiting for {', '.join(missing)}"))

    def _watch_steps(self) -> None:
        progress = sum(self._roster[t].step for t in self._awaited | set(self._done))
        if progress != self._progress:
            self._progress, self._moved = progress, self._now
        quiet = self._now - self._moved
        if quiet > self._pace.patience():
            record = min(
                (self._roster[t] for t in self._members),
                key=lambda r: (r.blamed, r.step, r.doing.startswith("waiting"),
                               r.name not in self._layout.replica_of),
            )  # fmt: skip
            record.blamed += 1
            at = f" ({record.doing})" if record.doing else ""
            self._lose_now((record.name,), f"was stuck for {quiet:.0f} s{at}")

    def _moving_seconds(self) -> float:
        """What the largest group's variables take on a slow link: its end is all that is heard."""
        return max((g.bytes for g in self._layout.groups), default=0) / self._limits.slowest_link

    def _lose_now(self, tasks: Iterable[str], reason: str) -> None:
        self._lose(*(
            Lost(name, self._roster[name].life, "task-stuck", reason) for name in sorted(tasks)))

    # --- the end ----------------------------------------------------------------------------------

    def _fail(self, fail: Fail) -> None:
        if self.phase is not Phase.ENDED:
            self._turn(Phase.ENDED)
            self._out.append(fail)

    def _stop(self) -> None:
        self._turn(Phase.ENDED)
        self._stopping = True
        up = [r.name for r in self._roster.records.values() if r.has_line]
        for task in up:
            self._send(task, Finish())
        self._gone(*(set(self._layout.tasks) - set(up)))

    def _gone(self, *tasks: str) -> None:
        """These tasks have ended, or are not waited for any more."""
        for task in sorted(tasks):
            self._out += self._roster.end(task, self._now)
        if self._stopping and all(r.state is State.DOWN for r in self._roster.records.values()):
            self._stopping = False
            self._out.append(Stopped())
