"""The predicted step time beside the measured one, when a training has ended."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median

from flowc.cli.progress import Reporter
from flowc.costs import CalibrationError
from flowc_runtime.events import End, Event, StepDone, StepTime, Warning
from flowc_runtime.training.agenda import FIRST_STEPS

ENOUGH = 3  # speeds, for a median that says something; the first steps are told one by one


class Foresight:
    """Passes events on, and tells of both before the end, when all is saved.

    The training has then succeeded, whatever comes of the prediction.
    """

    def __init__(self, show: Reporter, predicted: Callable[[], float]):
        self.step_time: StepTime | None = None
        self._show = show
        self._predicted = predicted
        self._speeds: list[float] = []

    def __call__(self, event: Event) -> None:
        match event:
            case StepDone(step, steps_per_second=float(speed)) if step > FIRST_STEPS and speed > 0:
                self._speeds.append(speed)
            case End():
                self._tell()
        self._show(event)

    def _tell(self) -> None:
        measured = 1 / median(self._speeds) if len(self._speeds) >= ENOUGH else None
        try:
            self.step_time = StepTime(self._predicted(), measured)
        except CalibrationError as error:
            self._show(Warning(error.code, error.message, error.help))
        else:
            self._show(self.step_time)

    def close(self) -> None:
        self._show.close()
