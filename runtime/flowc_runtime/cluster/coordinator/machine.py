"""The coordinator's brain: events in, actions out, without a clock, a socket or a thread.

It forms generations of the tasks that are there, brings their variables to one step, and has
them do windows of steps. Whatever goes wrong leads back to forming the next generation:

    GATHERING → CONFIGURING → (LOADING →) STANDING → RUNNING → STANDING …
                                              ↓
                                          COLLECTING → STANDING …
"""

from __future__ import annotations

from flowc_runtime.cluster.coordinator.doubts import Attempts, Doubt, Doubts
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
    Received,
    Settle,
    Settled,
    Stop,
    Stopped,
    Tick,
)
from flowc_runtime.cluster.coordinator.layout import Layout
from flowc_runtime.cluster.coordinator.lineup import Lineup
from flowc_runtime.cluster.coordinator.pace import Pace
from flowc_runtime.cluster.coordinator.phase import Phase, Stage
from flowc_runtime.cluster.coordinator.roster import Roster, State
from flowc_runtime.cluster.coordinator.story import Loss, Story
from flowc_runtime.cluster.coordinator.watch import Watch
from flowc_runtime.cluster.coordinator.window import Window
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.messages import (
    Beat,
    Collect,
    Command,
    Configured,
    Counts,
    Done,
    Failed,
    Finish,
    Goodbye,
    Load,
    Loaded,
    Ready,
    Run,
    Share,
    Values,
    Welcome,
)

JUMP_SECONDS = 1.5  # between two events: then this process stood still, not the tasks
SILENT_SECONDS = 1.0  # before a loss: then that is when it happened
RESTARTED = ("task-bug", "task-memory")  # failures that another process may not have


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
        self._roster = Roster(layout.tasks, job, self._limits, layout.alone())
        self._lineup = Lineup(layout, self._roster, first_generation)
        self._pace = Pace(step_seconds, self._limits)
        self._window = Window(self._pace)
        self._watch = Watch(layout, self._roster, self._pace, self._limits)
        self._doubts = Doubts(self._limits)
        self._attempts = Attempts(self._limits)
        self._story = Story()
        self._stage = Stage()
        self._out: list[Action] = []
        self._now = 0.0
        self._last: float | None = None  # when the last event came

        self._step = 0  # where the members stand, or stood last
        self._at_hand = -1  # the step of the values at hand; -1 before Begin
        self._told = 0  # the last step that an Advanced told of
        self._shares: tuple[Share, ...] = ()  # of that step
        self._goal: Begin | Advance | Settle | None = None
        self._stopping = False

    @property
    def phase(self) -> Phase:
        return self._stage.phase

    @property
    def step_seconds(self) -> float | None:
        """What a step takes, measured; None before the first."""
        return self._pace.step_seconds

    @property
    def counts(self) -> dict[str, Counts]:
        """What became of each worker's gradients, where not all of them count."""
        return self._window.tallies.total

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
                self._goal = event
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
            for clock in (self._roster, self._stage, self._doubts):
                clock.shift(gap)
        self._now = self._last = now

    def _turn(self, phase: Phase, awaited: set[str] | None = None) -> None:
        self._stage.turn(phase, self._now, awaited)

    def _send(self, task: str, command: Command) -> None:
        self._out.append(self._roster.send(task, command))

    # --- what tasks say ----------------------------------------------------------------------

    def _received(self, task: str, message: object) -> None:
        record = self._roster[task]
        record.heard = self._now
        if self.phase is Phase.ENDED:
            if isinstance(message, Goodbye):
                self._gone(task)
            return
        self._peer_lives(task)
        match message:
            case Beat(step, doing):
                record.step, record.doing = step, doing
            case Welcome():
                self._out += self._roster.welcomed(task, message, self._now)
            case Ready():
                self._roster.set_up(task, message, self._now)
                self._there_is_more()
            case Failed():
                self._failed(task, message)
            case Configured() | Loaded() | Done() | Values():
                lineup = self._lineup
                if message.generation == lineup.generation and task in lineup.members:
                    self._answered(task, message)

    def _answered(self, task: str, message: Configured | Loaded | Done | Values) -> None:
        """An answer of a member, in this generation."""
        match message, self.phase:
            case Configured(_, step), Phase.CONFIGURING:
                self._lineup.stands(task, step)
                if self._stage.answer_of(task, self._now):
                    self._agree()
            case Values(), Phase.LOADING:
                self._pass_on(task, message)
            case Loaded(), Phase.LOADING:
                self._lineup.loaded(task)
                if self._stage.answer_of(task, self._now):
                    self._stand()
            case Done(_, step), Phase.RUNNING if step == self._window.target:
                self._done(task, message)
            case Values(), Phase.COLLECTING:
                self._collected(task, message)

    def _failed(self, task: str, failed: Failed) -> None:
        record, lineup = self._roster[task], self._lineup
        if record.state is not State.READY:
            raise TaskFailed(task, failed)
        if failed.generation != lineup.generation or task not in lineup.members:
            return
        if failed.peer:
            if self.phase is Phase.RUNNING:
                self._doubt(failed.peer, task, failed.message)
        elif failed.code in RESTARTED:
            self._lose(Lost(task, record.life, failed.code, f"failed: {failed.message}"))
        else:
            raise TaskFailed(task, failed)

    # --- losses --------------------------------------------------------------------------------

    def _lose(self, *losses: Lost) -> None:
        """Tasks are lost at the same time; if one took part, a new generation begins."""
        current = [lost for lost in losses if self._roster.is_now(lost.task, lost.life)]
        if self.phase is Phase.ENDED:
            self._gone(*(lost.task for lost in current))
            return
        for lost in current:
            self._lose_one(lost)
        took_part = any(lost.task in self._lineup.members for lost in current)
        if took_part and self.phase is not Phase.GATHERING:
            self._gather()

    def _lose_one(self, lost: Lost) -> None:
        name, record = lost.task, self._roster[lost.task]
        if record.state is State.READY and self._roster.formed:
            step = max(self._step, record.step)
            silent = self._now - record.heard > SILENT_SECONDS
            since = record.heard if silent else self._now
            self._story.lost(Loss(name, lost.reason, step, since))
        self._lineup.distrust((name,))
        self._doubts.settle(name)
        self._out.append(Kill(name, record.life))
        self._out += self._roster.lose(lost, self._now)

    def _doubt(self, peer: str, witness: str, why: str) -> None:
        """A task cannot get at a peer. A sign of life of it decides whose fault that is."""
        if peer in self._lineup.members:
            self._doubts.raise_(peer, Doubt(self._now, witness, why))
        else:
            self._gather()

    def _peer_lives(self, peer: str) -> None:
        doubt = self._doubts.settle(peer)
        if doubt is None or doubt.witness not in self._lineup.members:
            return
        if self._attempts.hopeless(self._limits.out_of_touch, self._now):
            raise ClusterError(
                "peer-unreachable",
                f"{doubt.witness} cannot get anything from {peer} at "
                f"{self._roster[peer].address}, although both answer: {doubt.why}",
                "can the two hosts reach each other at these addresses, or is a firewall between?",
            )
        reason = f"got nothing from {peer} ({doubt.why})"
        self._story.lost(Loss(doubt.witness, reason, self._step, doubt.since, stayed=True))
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
        else:
            self._go_on()

    def _configure(self) -> None:
        """Begins a generation, if enough tasks are there."""
        configure = self._lineup.form()
        if configure is None:
            return
        self._attempts.again(self._now)
        if self._attempts.hopeless(self._limits.fruitless, self._now):
            raise ClusterError(
                "task-stuck",
                f"no step was made in {self._limits.fruitless} attempts; the last time "
                f"{self._story.last or 'a task did not join in'}",
            )
        self._window.tallies.new_generation()
        self._turn(Phase.CONFIGURING, set(self._lineup.members))
        for name in self._lineup.members:
            self._send(name, configure)

    def _agree(self) -> None:
        """All members have said where they stand."""
        lineup = self._lineup
        agreed = lineup.agree(self._at_hand)
        if self._cannot_tell(agreed.step):
            agreed = lineup.agree(self._at_hand, rely=False)
        lineup.distrust(agreed.loading)
        self._turn(Phase.LOADING, agreed.loading)
        for source in agreed.peers:
            paths = lineup.paths_of(source)
            self._send(source, Collect(lineup.generation, agreed.step, paths))
        for task, paths in agreed.here.items():
            life = self._roster[task].life
            self._out.append(LoadValues(task, life, lineup.generation, agreed.step, paths))
        if not self._stage.awaited:
            self._stand()

    def _cannot_tell(self, step: int) -> bool:
        """Whether an answer is due that nobody has: the outputs of that step are lost."""
        if not isinstance(self._goal, Advance) or step < self._goal.until:
            return False
        return step > self._at_hand and not self._window.outputs_at(step) and not self._shares

    def _pass_on(self, source: str, values: Values) -> None:
        """From a member that stands where all are to stand, to those that do not."""
        self._stage.moved = self._now
        lineup = self._lineup
        for task in lineup.agreement.peers.get(source, ()):
            self._send(task, Load(lineup.generation, lineup.agreement.step, values.path,
                                  values.offset, values.data, values.last))  # fmt: skip

    def _stand(self) -> None:
        """All members stand at the step agreed on."""
        self._step = self._lineup.agreement.step
        self._lineup.stand()
        self._turn(Phase.STANDING)
        self._out += self._story.goes_on(self._lineup.members, self._step, self._now)
        self._go_on()

    # --- steps ---------------------------------------------------------------------------------

    def _go_on(self) -> None:
        """If all stand at one step: what is next?"""
        if self.phase is not Phase.STANDING:
            return
        if self._lineup.may_grow:
            self._configure()
            return
        match self._goal:
            case None:
                self._attempts.step(self._now)  # no steps are wanted
            case Begin():
                self._goal = None
                self._out.append(Began())
            case Advance(until) if self._step >= until:
                self._tell(self._window.outputs_at(self._step) or self._shares)
            case Advance(until):
                self._run(until)
            case Settle(step) if self._at_hand == step:
                self._settled()
            case Settle(step) if self._step < step:
                self._run(step)
            case Settle():
                self._collect()

    def _run(self, until: int) -> None:
        lineup, window = self._lineup, self._window
        window.begin(self._step, until, self._now)
        self._turn(Phase.RUNNING, set(lineup.counting()))
        for task in lineup.told_to_run():
            self._send(task, Run(lineup.generation, self._step, window.target))

    def _done(self, task: str, done: Done) -> None:
        self._window.answer(task, done)
        if not self._stage.answer_of(task, self._now):
            return
        self._out += self._window.end(self._lineup.members, self._now)
        self._attempts.step(self._now)
        self._step = self._window.target
        self._turn(Phase.STANDING)
        if isinstance(self._goal, Advance) and self._step > self._told:
            self._tell(self._window.outputs_at(self._step))
        self._go_on()

    def _tell(self, shares: tuple[Share, ...]) -> None:
        self._told, self._shares, self._goal = self._step, shares, None
        self._out.append(Advanced(self._step, shares))

    # --- variables for the coordinator ----------------------------------------------------------

    def _collect(self) -> None:
        sources = self._lineup.sources()
        self._turn(Phase.COLLECTING, set(sources))
        for source, paths in sources.items():
            self._send(source, Collect(self._lineup.generation, self._step, paths))
        if not sources:
            self._settled()

    def _collected(self, task: str, values: Values) -> None:
        if task not in self._stage.awaited:
            return
        if values.step != self._step:
            raise ClusterError(
                "task-bug", f"{task} gave its variables after step {values.step}, not {self._step}")
        self._stage.moved = self._now
        self._out.append(KeepValues(values))
        if values.last and self._stage.answer_of(task, self._now):
            self._settled()

    def _settled(self) -> None:
        self._at_hand = self._step
        self._goal = None
        self._turn(Phase.STANDING)
        self._out.append(Settled(self._at_hand))
        self._go_on()

    # --- time ----------------------------------------------------------------------------------

    def _tick(self) -> None:
        stage, now = self._stage, self._now
        if self.phase is Phase.ENDED:
            if now - stage.entered > self._limits.goodbye:
                self._gone(*self._layout.tasks)
            return
        if self._at_hand < 0:
            return
        self._out += self._roster.due(now)
        self._lose(*self._roster.overdue(now))
        for peer, doubt in self._doubts.overdue(now):
            reason = f"did not answer {doubt.witness}, and has been silent since"
            self._lose(Lost(peer, self._roster[peer].life, "task-lost", reason))
        if self.phase is Phase.GATHERING:
            self._out += self._watch.gathering(now - stage.entered, self._story.last)
        lineup = self._lineup
        self._lose(*self._watch.overdue(stage, lineup.members, lineup.agreement.peers, now))

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
