"""Ctrl-C and SIGTERM as a wish that the training reads between two steps."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from types import FrameType
from typing import Literal

Reason = Literal["interrupt", "terminate"]


@dataclass
class StopSignal:
    """Set `reason` to have a training finish its step, save and end."""

    reason: Reason | None = None


class Signals:
    """While entered, SIGINT and SIGTERM set the reason; a SIGINT after that stops at once.

    Works in the main thread only, like all signal handling in Python.
    """

    def __enter__(self) -> StopSignal:
        self._stop = StopSignal()
        self._before = {
            number: signal.signal(number, self._note) for number in (signal.SIGINT, signal.SIGTERM)
        }
        return self._stop

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self._stop.reason is not None:
            raise KeyboardInterrupt
        if self._stop.reason is None:
            self._stop.reason = "interrupt" if number == signal.SIGINT else "terminate"
