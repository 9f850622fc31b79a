"""The agenda alone: what is due when, from numbers."""

from __future__ import annotations

import pytest

from flowc_runtime.checkpoint import CheckpointError, Position, Progress
from flowc_runtime.training import Agenda, Due, TrainOptions


def agenda(total: int = 20, batches: int = 5, **settings: int | None) -> Agenda:
    return Agenda(TrainOptions(total, seed=0, **settings), batches)


def when(agenda: Agenda, duty: str, stopping_at: int | None = None) -> list[int]:
    """The steps after which `duty` is due, in a run from the start to its end."""
    steps, position = [], Position()
    while True:
        position = agenda.after(position, 1)
        due = agenda.due(position, position.step == stopping_at)
        if getattr(due, duty):
            steps.append(position.step)
        if due.end:
            return steps


def test_positions_walk_through_the_batches_of_each_epoch() -> None:
    walker, position = agenda(batches=2), Position()
    seen = []
    for _ in range(4):
        position = walker.after(position, 1)
        seen.append((position.step, position.epoch, position.batch))
    assert seen == [(1, 0, 1), (2, 1, 0), (3, 1, 1), (4, 2, 0)]


def test_validation_comes_at_the_end_of_each_epoch() -> None:
    assert when(agenda(), "validate") == [5, 10, 15, 20]


def test_validation_comes_after_the_last_step_even_within_an_epoch() -> None:
    assert when(agenda(total=12), "validate") == [5, 10, 12]


def test_a_number_of_steps_between_validations_is_kept_to() -> None:
    assert when(agenda(validate_every=8), "validate") == [8, 16, 20]


def test_tiny_epochs_are_not_validated_one_by_one() -> None:
    steps = when(agenda(total=1000, batches=3), "validate")
    assert len(steps) <= 100
    assert all(step % 3 == 0 for step in steps[:-1])


def test_checkpoints_come_as_told_and_at_the_end() -> None:
    assert when(agenda(checkpoint_every=8), "save") == [8, 16, 20]


def test_without_a_number_of_steps_the_clock_decides_on_checkpoints() -> None:
    assert when(agenda(), "save") == [20]


def test_steps_are_logged_as_told_and_at_the_end() -> None:
    assert when(agenda(total=7, log_every=3), "log") == [3, 6, 7]


def test_without_a_number_the_first_steps_are_logged_and_then_the_clock_decides() -> None:
    assert when(agenda(total=50), "log") == [*range(1, 21), 50]


def test_a_wish_to_stop_ends_after_the_step_with_a_checkpoint_and_no_validation() -> None:
    assert agenda().due(Position(5, 1, 0), stopping=True) == Due(
        validate=False, log=True, save=True, end=True
    )


def test_a_wish_to_stop_at_the_last_step_changes_nothing() -> None:
    assert agenda().due(Position(20, 4, 0), stopping=True).validate


def test_epochs_are_counted_from_one_for_people() -> None:
    assert [agenda().epoch_of(step) for step in (0, 1, 5, 6)] == [1, 1, 1, 2]


def test_a_position_that_other_data_would_have_is_refused() -> None:
    with pytest.raises(CheckpointError, match="batch 3 of epoch 1; this run, with 5") as caught:
        agenda().check(Progress(Position(8, 0, 3), seed=0))
    assert caught.value.code == "checkpoint-other-data"


def test_another_seed_than_the_checkpoints_is_refused() -> None:
    with pytest.raises(CheckpointError, match="with seed 9, this run has 0") as caught:
        agenda().check(Progress(Position(8, 1, 3), seed=9))
    assert caught.value.code == "checkpoint-other-seed"


def test_the_position_of_the_same_run_is_accepted() -> None:
    agenda().check(Progress(Position(8, 1, 3), seed=0))


@pytest.mark.parametrize("name", ["log_every", "validate_every", "checkpoint_every"])
def test_every_zero_steps_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        agenda(**{name: 0})
