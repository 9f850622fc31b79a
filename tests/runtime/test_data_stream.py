"""Streams and transforms: which examples are met when."""

from __future__ import annotations

import numpy as np
import pytest

from flowc_runtime.data.dataset import Arrays, Dataset, Field
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.selection import shuffle, skip, take
from flowc_runtime.data.stream import Position, Stream
from flowc_runtime.data.transform import apply_transform


def numbers(count: int) -> Dataset:
    return Arrays("numbers", (Field("x", "i64", ()),), [np.arange(count)])


def values(dataset: Dataset) -> list[int]:
    out = np.zeros(len(dataset), np.int64)
    dataset.read(np.arange(len(dataset)), [out])
    return [int(value) for value in out]


def epoch(stream: Stream, number: int) -> list[int]:
    batches = [stream.indices(number, index) for index in range(stream.batches_per_epoch)]
    return [int(value) for value in np.concatenate(batches)]


def test_each_example_is_met_once_an_epoch() -> None:
    stream = Stream(numbers(100), 10, seed=7, shuffle=True)
    assert sorted(epoch(stream, 0)) == sorted(epoch(stream, 1)) == list(range(100))
    assert epoch(stream, 0) != epoch(stream, 1)


def test_without_shuffling_the_order_is_that_of_the_file() -> None:
    assert epoch(Stream(numbers(6), 2, seed=7, shuffle=False), 3) == list(range(6))


def test_a_batch_depends_on_its_numbers_only() -> None:
    stream, other = (Stream(numbers(100), 10, seed=7, shuffle=True) for _ in range(2))
    wanted = [(5, 3), (0, 0), (5, 9), (1, 2)]
    forwards = [stream.indices(*at).tolist() for at in wanted]
    backwards = [other.indices(*at).tolist() for at in reversed(wanted)]
    assert forwards == backwards[::-1]


def test_the_order_of_a_seed_never_changes() -> None:
    stream = Stream(numbers(8), 8, seed=7, shuffle=True)
    assert stream.indices(0, 0).tolist() == [4, 1, 6, 3, 2, 7, 5, 0]
    assert stream.indices(1, 0).tolist() == [3, 1, 6, 2, 5, 4, 0, 7]


def test_another_seed_gives_another_order() -> None:
    orders = {
        tuple(epoch(Stream(numbers(50), 50, seed=seed, shuffle=True), 0))
        for seed in (0, 1, -1, 2**63)
    }
    assert len(orders) == 4


@pytest.mark.parametrize(("remainder", "sizes"), [("drop", [4, 4]), ("keep", [4, 4, 2])])
def test_the_remainder_is_dropped_or_kept(remainder: str, sizes: list[int]) -> None:
    stream = Stream(numbers(10), 4, 7, True, remainder)  # type: ignore[arg-type]
    assert stream.batches_per_epoch == len(sizes)
    assert [len(stream.indices(0, i)) for i in range(len(sizes))] == sizes
    assert [stream.size(i) for i in range(len(sizes))] == sizes


def test_a_batch_is_read_into_the_arrays_of_the_caller() -> None:
    stream = Stream(numbers(10), 4, seed=7, shuffle=True)
    out = np.zeros(4, np.int64)
    stream.read(2, 1, [out])
    assert out.tolist() == stream.indices(2, 1).tolist()


def test_positions_run_through_batches_and_epochs() -> None:
    stream = Stream(numbers(10), 4, seed=7, shuffle=True)
    assert [stream.position(step) for step in range(4)] == [
        Position(0, 0), Position(0, 1), Position(1, 0), Position(1, 1),
    ]  # fmt: skip
    assert all(stream.after(stream.position(s)) == stream.position(s + 1) for s in range(5))


def test_too_few_examples_for_a_batch_are_refused_with_what_fits() -> None:
    with pytest.raises(DataError) as caught:
        Stream(numbers(10), 16, seed=7, shuffle=True)
    assert (caught.value.code, caught.value.help) == ("data-empty", "batch = 10 or less")
    assert Stream(numbers(10), 16, 7, False, "keep").batches_per_epoch == 1


def test_a_batch_that_is_not_there_is_a_bug_of_the_caller() -> None:
    stream = Stream(numbers(10), 4, seed=7, shuffle=True)
    for index in (-1, 2):
        with pytest.raises(IndexError):
            stream.indices(0, index)


@pytest.mark.parametrize(("amount", "count"), [(3, 3), (0.3, 3), (0.29, 2), (0.99, 9), (10, 10)])
def test_take_gives_the_first_examples(amount: float, count: int) -> None:
    assert values(take(numbers(10), amount)) == list(range(count))


def test_parts_are_exact_as_they_are_written() -> None:
    assert len(take(numbers(100), 0.29)) == 29


@pytest.mark.parametrize("amount", [1, 7, 0.2, 0.5, 0.9])
def test_take_and_skip_share_nothing_and_leave_nothing_out(amount: float) -> None:
    whole = numbers(10)
    assert values(take(whole, amount)) + values(skip(whole, amount)) == list(range(10))


def test_transforms_follow_each_other() -> None:
    assert values(take(skip(numbers(10), 2), 0.5)) == [2, 3, 4, 5]
    assert values(skip(take(skip(numbers(10), 1), 4), 1)) == [2, 3, 4]


@pytest.mark.parametrize("amount", [0, -1, 11, 0.0, 1.0, -0.5, float("nan")])
def test_an_amount_that_makes_no_sense_is_refused(amount: float) -> None:
    for transform in (take, skip):
        with pytest.raises(DataError) as caught:
            transform(numbers(10), amount)
        assert caught.value.code == "data-argument"


def test_a_transform_that_leaves_nothing_is_refused() -> None:
    for transform, amount in ((take, 0.01), (skip, 10)):
        with pytest.raises(DataError) as caught:
            transform(numbers(10), amount)
        assert caught.value.code == "data-empty"


def test_shuffle_marks_a_dataset_and_changes_nothing_else() -> None:
    assert not numbers(10).shuffled and not take(numbers(10), 5).shuffled
    assert shuffle(numbers(10)).shuffled
    assert values(shuffle(numbers(10))) == list(range(10))


def test_a_seed_draws_the_examples_of_take_and_skip_at_random() -> None:
    mixed = shuffle(numbers(100), seed=1)
    first, rest = take(mixed, 0.8), skip(mixed, 0.8)
    assert first.shuffled and rest.shuffled
    assert values(first) != list(range(80))
    assert sorted(values(first) + values(rest)) == list(range(100))
    assert values(take(shuffle(numbers(100), seed=1), 0.8)) == values(first)
    assert values(take(shuffle(numbers(100), seed=2), 0.8)) != values(first)


def test_taking_from_an_order_that_changes_is_refused() -> None:
    for transform in (take, skip):
        with pytest.raises(DataError) as caught:
            transform(shuffle(numbers(10)), 5)
        assert caught.value.help and "shuffle(seed = 1)" in caught.value.help


def test_transforms_are_called_by_name_with_checked_arguments() -> None:
    assert values(apply_transform("take", numbers(10), {"amount": 2})) == [0, 1]
    assert apply_transform("shuffle", numbers(10), {}).shuffled
    for name, arguments in (("take", {}), ("take", {"amount": True}), ("shuffle", {"seed": 1.5})):
        with pytest.raises(DataError) as caught:
            apply_transform(name, numbers(10), arguments)
        assert caught.value.code == "data-argument"

