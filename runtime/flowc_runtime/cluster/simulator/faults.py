"""What goes wrong in a run, and when."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Literal

Kind = Literal["kill", "freeze", "cut", "hang up", "slow", "coordinator"]
KINDS: tuple[Kind, ...] = ("kill", "kill", "freeze", "cut", "hang up", "slow", "coordinator")
MAX_FAULTS = 5
LONGEST_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Fault:
    """At `at` seconds something happens to a task, for `seconds` where it passes."""

    at: float
    kind: Kind
    task: str
    seconds: float


def draw(random: Random, tasks: tuple[str, ...], run_seconds: float) -> tuple[Fault, ...]:
    """Some faults, in a run that takes about `run_seconds` if nothing happens."""
    faults = [
        Fault(
            random.uniform(0.2, 1.5 + run_seconds), random.choice(KINDS), random.choice(tasks),
            random.uniform(0.1, LONGEST_SECONDS),
        )
        for _ in range(random.randint(0, MAX_FAULTS))
    ]  # fmt: skip
    return tuple(sorted(faults, key=lambda f: f.at))
