"""A dataset whose pictures are edited as they are read: each by random numbers of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from flowc_runtime.data.dataset import Dataset, Field, OneByOne, Visit
from flowc_runtime.data.edits import Edit, Unfit
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.selection import Shuffled

_WORD = 1 << 64


class Edited(OneByOne):
    """The examples of `base`, the pictures in field number `picture` edited.

    Edit number `place` of a pipeline draws from Philox's raw numbers under the key (seed, place)
    from the counter (epoch, example) on: whatever the thread, the worker or the batch.
    """

    def __init__(self, base: Dataset, edit: Edit, picture: int, field: Field, place: int):
        fields = list(base.fields)
        fields[picture] = field
        self.fields = tuple(fields)
        self.origin = base.origin
        self.shuffled = base.shuffled
        self._base = base
        self._edit = edit
        self._picture = picture
        self._place = place

    def __len__(self) -> int:
        return len(self._base)

    def example(self, index: int, visit: Visit) -> Sequence[np.ndarray]:
        values = list(self._base.example(index, visit))
        random = _uniform(visit, self._place, index, self._edit.draws)
        try:
            values[self._picture] = self._edit.apply(values[self._picture], random)
        except Unfit as reason:
            raise DataError("data-value", str(reason), self.place(index)) from None
        return values

    def place(self, index: int) -> str:
        return self._base.place(index)


def edited(dataset: Dataset, name: str, edit: Edit, place: int) -> Dataset:
    """The dataset with one edit more; DataError where it has no pictures, or they do not fit."""
    if isinstance(dataset, Shuffled):  # the order stays what was asked for last
        return Shuffled(edited(dataset.base, name, edit, place))
    found = [n for n, field in enumerate(dataset.fields) if len(field.shape) in (2, 3)]
    if len(found) != 1:
        message = f"`{name}` needs one field of pictures, and there are {len(found)}"
        help = "a picture is [height, width] or [height, width, channels]"
        raise DataError("data-argument", message, dataset.origin, help=help)
    field = dataset.fields[found[0]]
    stored = dataset.example(0, Visit(0, 0))[found[0]].dtype
    if stored != np.uint8:
        message = f"`{name}` edits pictures of u8, and `{field.name}` holds {stored}"
        raise DataError("data-type", message, dataset.origin)
    try:
        sides = edit.sides((field.shape[0], field.shape[1]))
    except Unfit as reason:
        raise DataError("data-argument", f"`{name}`: {reason}", dataset.origin) from None
    return Edited(
        dataset, edit, found[0], replace(field, shape=(*sides, *field.shape[2:])), place)


def _uniform(visit: Visit, place: int, index: int, count: int) -> list[float]:
    """Numbers in [0, 1) of 53 bits each."""
    if not count:
        return []
    key = np.array([visit.seed % _WORD, place], np.uint64)
    counter = np.array([0, index, visit.epoch, 0], np.uint64)
    raw = np.random.Philox(key=key, counter=counter).random_raw(count)
    return [float(number >> np.uint64(11)) * 2.0**-53 for number in raw]
