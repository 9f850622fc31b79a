"""The tasks one by one: their lives, from a start to a loss, and when there is to be another."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum, auto

from flowc_runtime.cluster.coordinator.events import Action, Job, Kill, Limits, Lost, Send, Start
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.messages import PROTOCOL, Alive, Command, Hello, Ready, Setup, Welcome

# What waiting does not change, so that a training which begins need not wait.
HOPELESS = ("host-unknown", "host-not-flowc", "host-unauthenticated", "host-other-version")


class State(Enum):
    DOWN = auto()  # to be started again at `again_at`
    STARTING = auto()
    GREETING = auto()  # it was told who it is to be
    SETTING_UP = auto()
    READY = auto()


@dataclass
class Record:
    """One task as it is now; times are those of the machine's clock."""

    name: str
    state: State = State.DOWN
    life: int = 0
    address: str = ""
    token: str = ""
    since: float = 0.0  # of the state
    heard: float = 0.0
    told: float = 0.0  # when it was last sent a sign of life
    again_at: float = 0.0
    failures: int = 0  # starts in a row
    deaths: deque[float] = field(default_factory=deque)
    step: int = -1
    doing: str = ""
    blamed: int = 0  # how often it was taken for the one that is stuck
    data: tuple[int, str] = (0, "")

    @property
    def has_line(self) -> bool:
        return self.state not in (State.DOWN, State.STARTING)


class Roster:
    """Raises ClusterError where a task fails in a way that no other life of it will mend."""

    def __init__(
        self, tasks: tuple[str, ...], job: Job, limits: Limits, alone: Collection[str] = ()
    ):
        self.records = {name: Record(name) for name in tasks}
        self.formed = False  # all tasks were ready once
        self._job = job
        self._limits = limits
        self._alone = alone  # tasks with which steps are lost
        self._began = 0.0

    def __getitem__(self, name: str) -> Record:
        return self.records[name]

    @property
    def ready(self) -> set[str]:
        return {r.name for r in self.records.values() if r.state is State.READY}

    def is_now(self, name: str, life: int) -> bool:
        record = self.records.get(name)
        return record is not None and record.life == life and record.state is not State.DOWN

    def send(self, name: str, command: Command) -> Send:
        return Send(name, self.records[name].life, command)

    def shift(self, seconds: float) -> None:
        """The clock went on while nobody was looking: no task is to be blamed for that."""
        for record in self.records.values():
            record.heard += seconds
            record.since += seconds

    # --- a life ----------------------------------------------------------------------------

    def begin(self, now: float) -> list[Action]:
        self._began = now
        return [self._start(record, now) for record in self.records.values()]

    def connected(self, name: str, address: str, now: float) -> list[Action]:
        record = self.records[name]
        record.address, record.heard, record.told = address, now, now
        self._turn(record, State.GREETING, now)
        job = self._job
        return [self.send(name, Hello(PROTOCOL, job.flowc, job.job, name, self._limits.lease))]

    def welcomed(self, name: str, welcome: Welcome, now: float) -> list[Action]:
        record = self.records[name]
        if welcome.protocol != PROTOCOL:
            raise ClusterError(
                "host-other-version",
                f"{name} at {record.address} is flowc {welcome.flowc}, which speaks version "
                f"{welcome.protocol} of the protocol; this flowc {self._job.flowc} speaks "
                f"version {PROTOCOL}",
                "install the same version of flowc on all hosts",
            )
        record.token = welcome.token
        self._turn(record, State.SETTING_UP, now)
        job = self._job
        return [self.send(name, Setup(job.plan, job.data, job.seed, job.threads, job.backend))]

    def set_up(self, name: str, ready: Ready, now: float) -> None:
        record = self.records[name]
        record.failures = 0
        record.data = (ready.examples, ready.data_sha256)
        self._turn(record, State.READY, now)
        self._compare_data(record)

    def lose(self, lost: Lost, now: float) -> list[Action]:
        """The life is over (and killed); the next one begins at once, or when its time has come.
        """
        record = self.records[lost.task]
        was_up = record.state in (State.SETTING_UP, State.READY)
        self._turn(record, State.DOWN, now)
        record.step, record.doing = -1, ""
        if was_up:
            self._count_death(record, lost, now)
            return [self._start(record, now)]
        record.failures += 1
        self._consider(record, lost, now)
        pause = min(self._limits.retry * 2 ** (record.failures - 1), self._limits.retry_most)
        patient = record.name in self._job.patient
        record.again_at = now + (self._limits.retry if patient else pause)
        return []

    def end(self, name: str, now: float) -> list[Action]:
        """Ends the life, and begins no other one."""
        record = self.records[name]
        if record.state is State.DOWN:
            return []
        self._turn(record, State.DOWN, now)
        return [Kill(name, record.life)]

    # --- as time goes by -------------------------------------------------------------------

    def due(self, now: float) -> list[Action]:
        """Starts whose time has come, and signs of life."""
        actions: list[Action] = []
        for record in self.records.values():
            if record.state is State.DOWN:
                if now >= record.again_at:
                    actions.append(self._start(record, now))
            elif record.has_line and now - record.told >= self._limits.alive:
                record.told = now
                actions.append(self.send(record.name, Alive()))
        return actions

    def overdue(self, now: float) -> list[Lost]:
        """Tasks that have been silent for too long, or in a state."""
        limits = self._limits
        patience = {State.GREETING: limits.greeting, State.SETTING_UP: limits.setup}
        found = []
        for record in self.records.values():
            silent = now - record.heard
            up = record.state in (State.SETTING_UP, State.READY)
            if up and silent > self._longest_silence(record):
                found.append(Lost(record.name, record.life, "task-lost",
                                  f"has not answered for {silent:.1f} s"))  # fmt: skip
            elif now - record.since > patience.get(record.state, float("inf")):
                found.append(Lost(record.name, record.life, "task-lost",
                                  "does not come to the point: it has a connection, but says "
                                  "nothing"))  # fmt: skip
        return found

    def _longest_silence(self, record: Record) -> float:
        """Quick where a mistake costs as much time as waiting longer would, and nothing else."""
        if record.state is State.SETTING_UP or record.name in self._alone:
            return self._limits.silence_alone
        return self._limits.silence

    # --- inside ----------------------------------------------------------------------------

    def _start(self, record: Record, now: float) -> Start:
        record.life += 1
        self._turn(record, State.STARTING, now)
        return Start(record.name, record.life)

    def _turn(self, record: Record, state: State, now: float) -> None:
        record.state, record.since = state, now

    def _count_death(self, record: Record, lost: Lost, now: float) -> None:
        deaths, limits = record.deaths, self._limits
        deaths.append(now)
        while deaths and deaths[0] < now - limits.deaths_within:
            deaths.popleft()
        if len(deaths) > limits.deaths:
            raise ClusterError(
                "task-dies",
                f"{record.name} was lost {len(deaths)} times within {limits.deaths_within:g} s; "
                f"the last time it {lost.reason}",
                lost.help,
            )

    def _consider(self, record: Record, lost: Lost, now: float) -> None:
        """Whether a start that failed makes more of them senseless."""
        if self.formed:
            return
        limits, waited = self._limits, now - self._began
        if lost.code == "task-not-started":
            hopeless = record.failures >= limits.starts
        elif lost.code in HOPELESS:
            hopeless = True
        else:
            patient = record.name in self._job.patient
            hopeless = waited > (limits.coming_up if patient else limits.reaching)
        if not hopeless:
            return
        raise ClusterError(lost.code, f"{record.name}: {lost.reason}", lost.help)

    def _compare_data(self, record: Record) -> None:
        for other in self.records.values():
            if other.state is State.READY and other.data[0] and record.data[0]:
                if other.data != record.data:
                    raise ClusterError(
                        "data-differs",
                        f"{record.name} at {record.address} has other data than {other.name} at "
                        f"{other.address}: {_told(record)} against {_told(other)}",
                        "copy the data files to all hosts, or name a place that they share",
                    )


def _told(record: Record) -> str:
    examples, digest = record.data
    return f"{examples} examples, sha256 {digest[:12]}"
