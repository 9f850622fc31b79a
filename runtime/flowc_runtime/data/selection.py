"""Other examples than all, or in another order: `take`, `skip`, `shuffle`."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from flowc_runtime.data.dataset import FIRST, Dataset, Visit
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.order import FIXED, permutation


class Selection:
    """Some examples of another dataset, in an order of its own."""

    def __init__(self, base: Dataset, positions: np.ndarray, shuffled: bool):
        self.origin = base.origin
        self.fields = base.fields
        self.shuffled = shuffled
        self.slow = base.slow
        self._base = base
        self._positions = positions

    def __len__(self) -> int:
        return len(self._positions)

    def read(
        self, indices: np.ndarray, out: Sequence[np.ndarray], visit: Visit = FIRST
    ) -> None:
        self._base.read(self._positions[indices], out, visit)

    def example(self, index: int, visit: Visit) -> Sequence[np.ndarray]:
        return self._base.example(int(self._positions[index]), visit)

    def place(self, index: int) -> str:
        return self._base.place(int(self._positions[index]))


class Shuffled:
    """The same examples, to be met in another order in each epoch."""

    shuffled = True

    def __init__(self, base: Dataset):
        self.origin = base.origin
        self.fields = base.fields
        self.slow = base.slow
        self.base = base

    def __len__(self) -> int:
        return len(self.base)

    def read(
        self, indices: np.ndarray, out: Sequence[np.ndarray], visit: Visit = FIRST
    ) -> None:
        self.base.read(indices, out, visit)

    def example(self, index: int, visit: Visit) -> Sequence[np.ndarray]:
        return self.base.example(index, visit)

    def place(self, index: int) -> str:
        return self.base.place(index)


def take(dataset: Dataset, amount: int | float) -> Dataset:
    """The first `amount` examples, or the first part of them where 0 < amount < 1.

    `take(f)` and `skip(f)` of one dataset share no example and leave none out.
    """
    return _part(dataset, "take", amount, slice(0, _count(dataset, "take", amount)))


def skip(dataset: Dataset, amount: int | float) -> Dataset:
    """All but the first `amount` examples, or all but that part of them where 0 < amount < 1."""
    return _part(dataset, "skip", amount, slice(_count(dataset, "skip", amount), None))


def shuffle(dataset: Dataset, seed: int | None = None) -> Dataset:
    """Asks for another order in each epoch.

    With a `seed` the examples are put into one random order first, always the same, so that
    `take` and `skip` may follow and draw them at random.
    """
    if seed is None:
        return Shuffled(dataset)
    return Selection(dataset, permutation(len(dataset), seed, FIXED), shuffled=True)


def _count(dataset: Dataset, verb: str, amount: int | float) -> int:
    size = len(dataset)
    if isinstance(amount, float):
        if not 0 < amount < 1:
            raise _unfit(dataset, f"`{verb}({amount})` needs a whole number, or a part below 1")
        return int(Fraction(str(amount)) * size)  # 0.29 of 100 is 29, not 28.999…
    if not 1 <= amount <= size:
        raise _unfit(dataset, f"`{verb}({amount})` of {size} examples")
    return amount


def _part(dataset: Dataset, verb: str, amount: int | float, part: slice) -> Dataset:
    if isinstance(dataset, Shuffled):
        raise _unfit(
            dataset,
            f"`{verb}` after `shuffle` would mean other examples in each epoch",
            f"`{verb}({amount}) |> shuffle`, or `shuffle(seed = 1)` to draw them at random, once",
        )
    positions = np.arange(len(dataset))[part]
    if not len(positions):
        message = f"`{verb}({amount})` of {len(dataset)} examples leaves none"
        raise DataError("data-empty", message, dataset.origin)
    return Selection(dataset, positions, dataset.shuffled)


def _unfit(dataset: Dataset, message: str, help: str | None = None) -> DataError:
    return DataError("data-argument", message, dataset.origin, help=help)
