"""What the coordinator tells a task, and a task the coordinator: plain data, one class a message.

On the wire they are the messages of `control.proto`. Every answer carries the number of the
`generation` that it belongs to; one of an earlier generation is void.
"""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL = 2  # version of messages and tensor streams together

# --- commands: coordinator → task -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello:
    """The first message. A task that hears nothing for `lease_seconds` ends itself."""

    protocol: int
    flowc: str  # version
    job: str  # a random id, the same for all tasks of a training
    task: str  # who the task is to be, as `worker:1`; empty for a mere look, answered by Welcome
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Setup:
    """The plan as its file's text, and where the examples are (JSON, see `data.py`)."""

    plan: str
    data: str
    seed: int
    threads: int
    backend: str  # see `backend.BACKENDS`: the same for all tasks


@dataclass(frozen=True, slots=True)
class Member:
    """A task of the job. `start` and `stop` are its shards of each batch.

    One that takes no part in the generation has no shards, and no address.
    """

    task: str
    address: str  # host:port where it answers to pulls
    token: str  # who finds it in this machine's shared memory is on the same machine
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Configure:
    """A new generation: what is under way is given up. The members are all tasks of the job."""

    generation: int
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """A piece of a variable's bytes. After the one with `last` the task stands at `step`."""

    generation: int
    step: int
    path: str
    offset: int
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Run:
    """Do all steps up to number `until`, then answer Done; all tasks stand at `after`."""

    generation: int
    after: int
    until: int


@dataclass(frozen=True, slots=True)
class Collect:
    """Send the variables named, as they are after `step`."""

    generation: int
    step: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Alive:
    """Renews the lease."""


@dataclass(frozen=True, slots=True)
class Finish:
    """The job is over: answer Goodbye and end."""


Command = Hello | Setup | Configure | Load | Run | Collect | Alive | Finish

# --- events: task → coordinator ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Welcome:
    """The answer to Hello. `clock` is the task's Unix time in seconds."""

    protocol: int
    flowc: str
    host: str
    pid: int
    cores: int
    memory_bytes: int
    clock: float
    token: str


@dataclass(frozen=True, slots=True)
class Ready:
    """Setup is done. `bytes_held` is what the task has allocated for the plan.

    `examples` and `data_sha256` (over names, types and a sample of the content) say what its data
    are: all tasks must have the same.
    """

    bytes_held: int
    examples: int
    data_sha256: str


@dataclass(frozen=True, slots=True)
class Configured:
    """The task is in this generation. `step` is the last step in its variables, -1 for none."""

    generation: int
    step: int


@dataclass(frozen=True, slots=True)
class Loaded:
    generation: int
    step: int


@dataclass(frozen=True, slots=True)
class Share:
    """What a task adds to a step's outputs: sums over one subtree of shards."""

    start: int
    stop: int
    values: tuple[tuple[str, float], ...]  # by output: `loss`, `metric.accuracy`; f32 exactly


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one worker's gradients since the generation began, as their owners saw them."""

    task: str
    applied: int
    dropped: int
    staleness: int  # the largest, in steps


@dataclass(frozen=True, slots=True)
class Done:
    """All steps up to `step` are done. `shares` are of the last one.

    `seconds` are spent per step since the last Done: computing, and waiting for others.
    """

    generation: int
    step: int
    shares: tuple[Share, ...]
    counts: tuple[Counts, ...]
    computing: float
    waiting: float
    slowest: str  # the task that was waited for longest, or empty


@dataclass(frozen=True, slots=True)
class Values:
    """A piece of a variable that was asked for, as it is after `step`."""

    generation: int
    step: int
    path: str
    offset: int
    data: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """The task lives; `step` is the last that it has done, `doing` says what it is at."""

    step: int
    doing: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The task gave up what it was at.

    `peer` is set where a task's payload did not come (then that one is to blame, not this one);
    else `code` and the rest are an Error event's: a loss that is not finite, missing data.
    """

    generation: int
    step: int
    code: str
    message: str
    help: str
    op: str
    at: str
    path: str
    peer: str


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The answer to Finish, and the last message."""


Event = Welcome | Ready | Configured | Loaded | Done | Values | Beat | Failed | Goodbye
