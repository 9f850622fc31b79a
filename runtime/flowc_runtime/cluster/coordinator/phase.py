"""The phases of the coordinator's work, and how long it has been in one."""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    GATHERING = auto()  # too few tasks are there
    CONFIGURING = auto()  # a generation begins: where do its members stand?
    LOADING = auto()  # those who stand elsewhere are given variables
    STANDING = auto()  # all stand at the same step
    RUNNING = auto()
    COLLECTING = auto()  # variables are fetched
    ENDED = auto()


class Stage:
    """The phase, since when, who is waited for in it, and when there last was progress."""

    def __init__(self) -> None:
        self.phase = Phase.GATHERING
        self.entered = 0.0
        self.moved = 0.0
        self.awaited: set[str] = set()

    def turn(self, phase: Phase, now: float, awaited: set[str] | None = None) -> None:
        self.phase, self.entered, self.moved = phase, now, now
        self.awaited = awaited or set()

    def answer_of(self, task: str, now: float) -> bool:
        """Whether this was the last answer that was waited for."""
        self.moved = now
        waited = task in self.awaited
        self.awaited.discard(task)
        return waited and not self.awaited

    def shift(self, seconds: float) -> None:
        self.entered += seconds
        self.moved += seconds
