"""A stream: the batches of a dataset, epoch after epoch, each known by its numbers alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flowc_runtime.data.ahead import Ahead, Request
from flowc_runtime.data.dataset import Dataset, Visit
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.order import permutation

Remainder = Literal["drop", "keep"]


@dataclass(frozen=True, slots=True)
class Position:
    """A batch: the epoch, and the batch's index in it, both from 0."""

    epoch: int
    index: int


class Stream:
    """The batches of `dataset`.

    A batch is a pure function of (seed, epoch, index), so that a run resumed in the middle of
    an epoch meets the very examples that it would have met. With `remainder="drop"` the
    examples that do not fill a batch are left out of the epoch (with `shuffle`, others each
    time); with "keep" the last batch is smaller.

    Examples that have to be decoded are read by threads, the batch that follows already while
    a step computes. `threads` is how many; nothing but the time depends on it.
    """

    def __init__(
        self, dataset: Dataset, batch: int, seed: int, shuffle: bool,
        remainder: Remainder = "drop", threads: int | None = None,
    ):  # fmt: skip
        if batch < 1:
            message = f"a batch of {batch} examples"
            raise DataError("data-argument", message, dataset.origin)
        _check_fills_a_batch(len(dataset), batch, remainder, dataset.origin)
        self.dataset = dataset
        self.batch = batch
        self.seed = seed
        self.shuffle = shuffle
        self.remainder = remainder
        self._order: tuple[int, np.ndarray] | None = None  # of the epoch read last
        self._ahead = Ahead(dataset, threads) if dataset.slow else None

    @property
    def batches_per_epoch(self) -> int:
        full, rest = divmod(len(self.dataset), self.batch)
        return full + (1 if rest and self.remainder == "keep" else 0)

    def size(self, index: int) -> int:
        """How many examples batch `index` of an epoch holds."""
        return min(self.batch, len(self.dataset) - index * self.batch)

    def position(self, step: int) -> Position:
        """The batch of step 0, 1, … of a run that began at the first epoch."""
        return Position(*divmod(step, self.batches_per_epoch))

    def after(self, position: Position) -> Position:
        """The batch that follows."""
        index = position.index + 1
        if index < self.batches_per_epoch:
            return Position(position.epoch, index)
        return Position(position.epoch + 1, 0)

    def indices(self, epoch: int, index: int) -> np.ndarray:
        """The examples of a batch: int64[size(index)], numbers in the dataset."""
        if not 0 <= index < self.batches_per_epoch:
            raise IndexError(f"batch {index} of {self.batches_per_epoch}")
        start = index * self.batch
        stop = start + self.size(index)
        if not self.shuffle:
            return np.arange(start, stop)
        return self._order_of(epoch)[start:stop]

    def read(self, epoch: int, index: int, out: Sequence[np.ndarray]) -> None:
        """Writes a batch into one array a field, each [size(index), *field.shape]."""
        self.read_part(epoch, index, 0, self.size(index), out)

    def read_part(
        self, epoch: int, index: int, start: int, stop: int, out: Sequence[np.ndarray]
    ) -> None:
        """Writes the examples from number `start` up to `stop` of a batch."""
        here = self._examples(Position(epoch, index), start, stop)
        if self._ahead is None:
            indices, visit = here
            self.dataset.read(indices, out, visit)
            return
        following = self.after(Position(epoch, index))
        goes_on = self.remainder == "drop" or following.epoch == epoch
        self._ahead.read(here, self._examples(following, start, stop) if goes_on else None, out)

    def _examples(self, at: Position, start: int, stop: int) -> Request:
        return self.indices(at.epoch, at.index)[start:stop], Visit(self.seed, at.epoch)

    def _order_of(self, epoch: int) -> np.ndarray:
        if self._order is None or self._order[0] != epoch:
            self._order = (epoch, permutation(len(self.dataset), self.seed, epoch))
        return self._order[1]


def _check_fills_a_batch(size: int, batch: int, remainder: Remainder, origin: str) -> None:
    if size == 0 or (size < batch and remainder == "drop"):
        raise DataError(
            "data-empty",
            f"{size} examples do not fill one batch of {batch}",
            origin,
            help=f"batch = {size} or less" if size else None,
        )
