"""The nouns of a prediction: how long a step takes, what it waits for, what goes over each link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from flowc_runtime.cluster.plan import TaskName


class LinkLike(Protocol):
    """What lies between two hosts, one way, for a single stream."""

    @property
    def bandwidth_bytes_per_s(self) -> float: ...
    @property
    def latency_s(self) -> float: ...


class TaskLike(Protocol):
    """Where a task is; tasks of one host share its cores and its memory."""

    @property
    def host(self) -> str: ...
    @property
    def cores(self) -> int: ...
    @property
    def memory_bytes(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the critical path: what a task does, or what is under way to it."""

    task: str
    what: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TaskTime:
    """Seconds of a step: at work, waiting for others. Both together are the step."""

    compute: float
    wait: float


@dataclass(frozen=True, slots=True)
class LinkUse:
    """What goes from one host to another in a step; `seconds` is what that takes at least.

    Within a host it goes through shared memory, and costs what the copies cost.
    """

    producer: str
    consumer: str
    bytes: int
    seconds: float


@dataclass(frozen=True)
class Prediction:
    """A steady step.

    `path` leads from one step's end to the next: the chain of stretches that could not begin
    earlier, in order. `alone_seconds` is the step of one process that does the same work;
    None where that was not asked.
    """

    step_seconds: float
    path: tuple[Stretch, ...]
    tasks: Mapping[TaskName, TaskTime]
    links: tuple[LinkUse, ...]
    alone_seconds: float | None = None

    @property
    def speed_up(self) -> float | None:
        """Over one process."""
        if self.alone_seconds is None or not self.step_seconds:
            return None
        return self.alone_seconds / self.step_seconds

    @property
    def limiting_link(self) -> LinkUse | None:
        """The link that takes longest, if anything goes over one."""
        used = [link for link in self.links if link.bytes]
        return max(used, key=lambda link: link.seconds, default=None)
