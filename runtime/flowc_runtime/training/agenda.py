"""What is due after each step of a training: decided from numbers alone, without I/O."""

from __future__ import annotations

from dataclasses import dataclass

from flowc_runtime.checkpoint.errors import CheckpointError
from flowc_runtime.checkpoint.manifest import Position, Progress

VALIDATIONS_MAX = 100  # of a run, unless it is told otherwise: tiny data has tiny epochs
FIRST_STEPS = 20  # told one by one, unless it is told otherwise: most happens in them


@dataclass(frozen=True)
class TrainOptions:
    """How long, and how often what, all in steps.

    Where `validate_every` is None, validation comes at the ends of epochs, `VALIDATIONS_MAX`
    times at most. Where `log_every` is None, the first FIRST_STEPS steps are told and then some
    ten a second; where `checkpoint_every` is None, a checkpoint is saved every 30 seconds. Both
    also come at the end.
    """

    total_steps: int
    seed: int
    log_every: int | None = None
    validate_every: int | None = None
    checkpoint_every: int | None = None

    def __post_init__(self) -> None:
        for name in ("log_every", "validate_every", "checkpoint_every"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is {value}; it counts steps, from 1")
        if self.total_steps < 0:
            raise ValueError(f"total_steps is {self.total_steps}")


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done after a step, in this order; `log` and `save` may come more often."""

    validate: bool
    log: bool
    save: bool
    end: bool


class Agenda:
    """Knows the order of a training's duties; keeps no state but its settings."""

    def __init__(self, options: TrainOptions, batches_per_epoch: int):
        self.total_steps = options.total_steps
        self.batches_per_epoch = batches_per_epoch
        self._seed = options.seed
        self._log_every = options.log_every
        self._save_every = options.checkpoint_every
        self._validate_every = options.validate_every or self._some_epochs()

    def after(self, position: Position, steps: int) -> Position:
        """The position after so many more steps."""
        epochs, batch = divmod(position.batch + steps, self.batches_per_epoch)
        return Position(position.step + steps, position.epoch + epochs, batch)

    def next_due(self, step: int) -> int:
        """The first step after `step` that something is due after, going by steps alone."""
        following = [self.total_steps, _following(self._validate_every, step)]
        if self._save_every is not None:
            following.append(_following(self._save_every, step))
        if self._log_every is not None:
            following.append(_following(self._log_every, step))
        elif step < FIRST_STEPS:
            following.append(step + 1)
        return max(step + 1, min(following))

    def due(self, position: Position, stopping: bool) -> Due:
        """What is due when the steps up to `position` are done; `stopping` if asked to stop.

        Who asks to stop does not wait for a validation.
        """
        step = position.step
        last = step >= self.total_steps
        end = last or stopping
        return Due(
            validate=last or (step % self._validate_every == 0 and not stopping),
            log=end or self._logs(step),
            save=end or _divides(self._save_every, step),
            end=end,
        )

    def epoch_of(self, step: int) -> int:
        """The epoch, counted from 1, that step 1, 2, … belongs to."""
        return max(step - 1, 0) // self.batches_per_epoch + 1

    def check(self, progress: Progress) -> None:
        """Raise CheckpointError where this training would not stand as `progress` does.

        `checkpoint-other-data`: not at that batch after so many steps; `checkpoint-other-seed`.
        """
        position = progress.position
        if progress.seed != self._seed:
            raise CheckpointError(
                "checkpoint-other-seed",
                f"the checkpoint was trained with seed {progress.seed}, this run has {self._seed}",
                help="leave --seed out: a run that is resumed keeps its seed",
            )
        ours = divmod(position.step, self.batches_per_epoch)
        if (position.epoch, position.batch) != ours:
            raise CheckpointError(
                "checkpoint-other-data",
                f"after step {position.step} the checkpoint stands at batch {position.batch} of "
                f"epoch {position.epoch + 1}; this run, with {self.batches_per_epoch} batches an "
                f"epoch, would stand at batch {ours[1]} of epoch {ours[0] + 1}",
                help="resume with the batch size and the data that the run began with, or start "
                "a new one from its weights with --weights",
            )

    def _logs(self, step: int) -> bool:
        return step <= FIRST_STEPS if self._log_every is None else step % self._log_every == 0

    def _some_epochs(self) -> int:
        epochs = -(-self.total_steps // self.batches_per_epoch)
        return self.batches_per_epoch * max(1, -(-epochs // VALIDATIONS_MAX))


def _following(every: int, step: int) -> int:
    """The first multiple of `every` that is larger than `step`."""
    return (step // every + 1) * every


def _divides(every: int | None, step: int) -> bool:
    return every is not None and step % every == 0
