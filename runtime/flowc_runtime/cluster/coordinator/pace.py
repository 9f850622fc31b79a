"""How fast steps are done: how many make a window, how long is too long, who is slow."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median

from flowc_runtime.cluster.coordinator.events import Limits

# Of steps between two answers of the tasks: while these are under way no step is, which at a third
# of it cost a training on two cores about 5 %.
WINDOW_SECONDS = 0.3
GROWTH = 4  # at most, from one window to the next
REMEMBERED = 9  # windows
SLOW_TIMES = 2.0  # as long as the others
SLOW_WINDOWS = 5  # in a row, until it is told
DROPPED_TOLD = 20  # gradients of a worker that were counted, before its losses mean something


class Pace:
    """`predicted` are the seconds that the plan says a step takes, or None."""

    def __init__(self, predicted: float | None, limits: Limits):
        self._predicted = predicted or 0.0
        self._limits = limits
        self._seconds: deque[float] = deque(maxlen=REMEMBERED)  # a step
        self._window = 1
        self._slow: dict[str, int] = {}  # windows in a row
        self._told: set[str] = set()

    @property
    def step_seconds(self) -> float | None:
        """The median of the last windows."""
        return median(self._seconds) if self._seconds else None

    def window(self) -> int:
        """How many steps to do next."""
        usual = self.step_seconds
        if usual is not None:
            fitting = round(WINDOW_SECONDS / usual) if usual > 0 else self._window * GROWTH
            self._window = max(1, min(fitting, self._window * GROWTH))
        return self._window

    def add(self, steps: int, seconds: float) -> None:
        self._seconds.append(seconds / steps)

    def patience(self) -> float:
        """Seconds without a step after which something must be stuck."""
        usual = self.step_seconds
        if usual is None:
            return max(self._limits.first_steps, self._limits.stuck_steps * self._predicted)
        return max(self._limits.stuck, self._limits.stuck_steps * usual)

    def slow(self, computing: Mapping[str, float]) -> str | None:
        """Tells of a worker that is slow, once; `computing` are seconds a step and shard."""
        for worker, seconds in computing.items():
            others = [s for w, s in computing.items() if w != worker]
            if not others or seconds < SLOW_TIMES * median(others):
                self._slow[worker] = 0
                continue
            self._slow[worker] = self._slow.get(worker, 0) + 1
            if self._slow[worker] >= SLOW_WINDOWS and worker not in self._told:
                self._told.add(worker)
                times = seconds / median(others) if median(others) else float("inf")
                return f"{worker} is slow: a step takes it {times:.1f} times as long as the others"
        return None

    def dropped(self, worker: str, applied: int, dropped: int) -> str | None:
        """Tells of a worker whose gradients mostly come too late, once."""
        if worker in self._told or applied + dropped < DROPPED_TOLD or dropped <= applied:
            return None
        self._told.add(worker)
        return (f"{worker} is slow: {dropped} of {applied + dropped} of its gradients came too "
                "late and were left out")
