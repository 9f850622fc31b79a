"""What the coordinator hears, and what it wants done: plain data, since it does no I/O itself.

A task has many lives: each start is one. What is heard of an earlier life is void.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.messages import Command, Failed, Share, Values
from flowc_runtime.cluster.messages import Event as Message

# --- events ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connected:
    """The task is up, and there is a line to it. Peers find it at `address`."""

    task: str
    life: int
    address: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The task could not be started or reached, or its line broke.

    `reason` reads behind the task's name: `died (killed by SIGKILL)`.
    """

    task: str
    life: int
    code: str
    reason: str
    help: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    task: str
    life: int
    message: Message


@dataclass(frozen=True, slots=True)
class Tick:
    """Time has passed."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The training begins: the values at hand are those after `step`."""

    step: int


@dataclass(frozen=True, slots=True)
class Advance:
    """One step or more is wanted, up to `until` at most."""

    until: int


@dataclass(frozen=True, slots=True)
class Settle:
    """The values after `step`, the last that was told of, are wanted."""

    step: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The training is over."""


Event = Connected | Lost | Received | Tick | Begin | Advance | Settle | Stop

# --- actions -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Begin a life of the task: have it started, and connect to it."""

    task: str
    life: int


@dataclass(frozen=True, slots=True)
class Kill:
    """End this life of the task for good: no message of it is heard, no process left."""

    task: str
    life: int


@dataclass(frozen=True, slots=True)
class Send:
    task: str
    life: int
    command: Command


@dataclass(frozen=True, slots=True)
class LoadValues:
    """Send the values at hand to the task, as Load commands of the generation."""

    task: str
    life: int
    generation: int
    step: int
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class KeepValues:
    """Put this piece with the others of its step: with Settled they become the values at hand."""

    values: Values


@dataclass(frozen=True, slots=True)
class Began:
    """The answer to Begin."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """The answer to Advance: where it stands, and the outputs of that step in shares."""

    step: int
    shares: tuple[Share, ...]


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer to Settle: the values at hand are those after `step`."""

    step: int


@dataclass(frozen=True, slots=True)
class Notice:
    """For the user: something went wrong, and the training goes on."""

    code: str
    message: str
    help: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """The training cannot go on. `failed` is what a task said, where one has failed."""

    error: ClusterError
    failed: Failed | None = None


@dataclass(frozen=True, slots=True)
class Stopped:
    """The answer to Stop: no task is left."""


Action = (
    Start | Kill | Send | LoadValues | KeepValues | Began | Advanced | Settled | Notice | Fail
    | Stopped
)  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """How long the coordinator waits for what, in seconds, and how often it tries."""

    lease: float = 5.0  # a task that hears nothing for so long ends itself
    alive: float = 1.0  # between two signs of life for a task
    silence: float = 1.6  # after which a task counts as lost whose part others can do at once
    silence_alone: float = 3.0  # and one that sets up, or whose variables nobody else has
    doubt: float = 1.5  # for a sign of life of a task that a peer cannot reach
    greeting: float = 10.0
    setup: float = 900.0  # it may download its data
    coming_up: float = 90.0  # for tasks that somebody else starts
    coming_back: float = 60.0
    configuring: float = 15.0
    moving: float = 15.0  # variables: without any progress
    slowest_link: float = 10e6  # bytes a second
    stuck: float = 10.0  # at least: without a step
    stuck_steps: float = 10.0  # in steps of the usual length
    first_steps: float = 60.0  # before any was measured
    goodbye: float = 2.0
    starts: int = 3  # tries at the beginning, of a task that does not come up
    reaching: float = 20.0  # at the beginning, for a task that is up and out of reach
    deaths: int = 5  # of a task within `deaths_within`
    deaths_within: float = 60.0
    fruitless: int = 10  # generations without a step
    out_of_touch: int = 5  # of them, where two tasks cannot reach each other
    fruitless_for: float = 20.0  # at least, for either
    retry: float = 0.5  # before a start that failed is tried again, doubled each time up to
    retry_most: float = 5.0
    waiting_told: float = 3.0  # until the user is told for whom the beginning waits


@dataclass(frozen=True)
class Job:
    """What every task is told when it comes up."""

    flowc: str
    job: str
    plan: str
    data: str
    seed: int
    threads: int
    backend: str
    patient: frozenset[str] = field(default_factory=frozenset)  # tasks that somebody else starts
