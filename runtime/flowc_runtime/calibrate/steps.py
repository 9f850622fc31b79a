"""A program's own instructions, timed one by one while it runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from flowc_runtime.executor import Bound, Session

Fill = Callable[[int], None]  # puts the inputs of step number k into place

FEWEST_RUNS = 5
MOST_RUNS = 2000


@dataclass(frozen=True)
class Timed:
    """Medians in seconds: of each instruction, of filling the inputs, and of a whole run.

    The whole is of runs in which nothing was timed inside.
    """

    instructions: tuple[float, ...]
    filling: float
    whole: float
    runs: int

    @property
    def looking(self) -> float:
        """What it cost to look at the clock after an instruction."""
        more = sum(self.instructions) - self.whole
        return max(0.0, more) / max(1, len(self.instructions))


def time_program(session: Session, program: str, fill: Fill, seconds: float) -> Timed:
    """Runs a program for about so many seconds, in turns as a whole and piece by piece.

    The session's variables change as the program changes them; BadValue where data are refused.
    """
    bound = session.bind(program)
    run = _Run(bound, fill)
    with np.errstate(all="ignore"):
        run.whole(0), run.pieces(1)  # the first run makes the lists of calls
        taken: list[tuple[float, ...]] = []
        begun = time.perf_counter()
        while len(taken) < FEWEST_RUNS or (
            time.perf_counter() - begun < seconds and len(taken) < MOST_RUNS
        ):
            number = 2 * len(taken) + 2
            taken.append((run.whole(number), *run.pieces(number + 1)))
    whole, filling, *pieces = np.median(np.array(taken), axis=0)
    return Timed(tuple(map(float, pieces)), float(filling), float(whole), len(taken))


class _Run:
    """One program and its clock."""

    def __init__(self, bound: Bound, fill: Fill):
        self._bound = bound
        self._fill = fill
        self._count = len(bound.program.instructions)

    def whole(self, number: int) -> float:
        """Seconds of all that a session does in a run, but for its look at the loss."""
        bound = self._bound
        self._fill(number)
        begun = time.perf_counter()
        bound.set_system(0, number)
        with np.errstate(all="ignore"):
            bound.run(0, bound.program.commit)
            bound.run(bound.program.commit, self._count)
        for view in bound.outputs.values():
            view.copy()
        return time.perf_counter() - begun

    def pieces(self, number: int) -> list[float]:
        """Seconds of filling, then of each instruction."""
        clock, run = time.perf_counter, self._bound.run
        marks = [clock()]
        self._fill(number)
        marks.append(clock())
        self._bound.set_system(0, number)
        for k in range(self._count):
            run(k, k + 1)
            marks.append(clock())
        return [b - a for a, b in zip(marks, marks[1:], strict=False)]
