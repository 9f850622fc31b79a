"""What the user is told about tasks that were lost: when the training goes on, and not before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from flowc_runtime.cluster.coordinator.events import Notice


@dataclass(frozen=True, slots=True)
class Loss:
    """`reason` reads behind the task's name, as in Lost. `stayed`: the task itself was not lost."""

    task: str
    reason: str
    step: int  # the last that was known to be done
    at: float
    stayed: bool = False


class Story:
    """Remembers losses until they are made good."""

    def __init__(self) -> None:
        self._losses: dict[str, Loss] = {}  # by task: the first
        self._away: set[str] = set()  # left out, and told so

    @property
    def last(self) -> str:
        """The last loss that is not made good, in words."""
        loss = next(reversed(self._losses.values()), None)
        return f"{loss.task} {loss.reason}" if loss else ""

    def lost(self, loss: Loss) -> None:
        self._losses.setdefault(loss.task, loss)

    def goes_on(self, members: Collection[str], step: int, now: float) -> list[Notice]:
        """The members stand at `step`, and steps follow."""
        losses, self._losses = self._losses, {}
        notices = [_told(loss, loss.task in members, step, now) for loss in losses.values()]
        for task in sorted(self._away & set(members) - set(losses)):
            notices.append(Notice("task-back", f"{task} takes part again, from step {step + 1}"))
        self._away = (self._away | set(losses)) - set(members)
        return notices


def _told(loss: Loss, member: bool, step: int, now: float) -> Notice:
    again = loss.step - step
    redone = f", {again} step{'s'[: again > 1]} done again" if again > 0 else ""
    tail = f"went on after step {step} ({now - loss.at:.1f} s lost{redone})"
    what = f"{loss.task} {loss.reason} after step {loss.step}"
    if loss.stayed:
        return Notice("task-retried", f"{what}; {tail}")
    if member:
        return Notice("task-restarted", f"{what}; it is back; {tail}")
    return Notice("task-left-out", f"{what}; the others do its part until it is back; {tail}")
