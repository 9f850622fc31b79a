"""Datasets: examples by number, in any order, written into arrays of the caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

OPEN = 0  # in a field's shape: a size that differs from example to example


@dataclass(frozen=True)
class Field:
    """One part of an example. `shape` is that of a single example, without the batch.

    `classes` names the integers 0, 1, … where the source knows names for them: the classes of
    a CSV column or of image folders, the characters of a text. `words` does so for each column
    of a table's field, from 1 on: 0 is every other word, and a missing one.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    classes: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """When an example is met; with its number, all that a random transform may depend on."""

    seed: int
    epoch: int


FIRST = Visit(0, 0)


class Dataset(Protocol):
    """Examples that can be read in any order, any number of times; in one visit always the same.

    `origin` tells a reader where they come from; `shuffled` says that training is to permute
    them anew in each epoch; `slow` that an example is worth a thread's while: it is decoded.
    """

    @property
    def fields(self) -> tuple[Field, ...]: ...

    @property
    def origin(self) -> str: ...

    @property
    def shuffled(self) -> bool: ...

    @property
    def slow(self) -> bool: ...

    def __len__(self) -> int: ...

    def read(
        self, indices: np.ndarray, out: Sequence[np.ndarray], visit: Visit = FIRST
    ) -> None:
        """Writes the examples at `indices` (int64[n], each in 0..len-1) into one array a field.

        Each array is [n, *field.shape] of the field's dtype. May be called by several threads.
        """
        ...

    def example(self, index: int, visit: Visit) -> Sequence[np.ndarray]:
        """One array a field, of the dtype that is stored; where sizes are OPEN, of its own."""
        ...

    def place(self, index: int) -> str:
        """What messages about the example are to name: its file."""
        ...


class OneByOne:
    """What datasets have in common whose examples are made one after the other."""

    slow = True

    def example(self, index: int, visit: Visit) -> Sequence[np.ndarray]:
        raise NotImplementedError

    def read(
        self, indices: np.ndarray, out: Sequence[np.ndarray], visit: Visit = FIRST
    ) -> None:
        for row, index in enumerate(indices):
            for target, value in zip(out, self.example(int(index), visit), strict=True):
                target[row] = value


class Arrays:
    """A dataset over one array per field; what an array stores is cast to the field's dtype."""

    shuffled = False
    slow = False

    def __init__(self, origin: str, fields: tuple[Field, ...], arrays: Sequence[np.ndarray]):
        self.origin = origin
        self.fields = fields
        self._arrays = tuple(arrays)

    def __len__(self) -> int:
        return len(self._arrays[0])

    def read(
        self, indices: np.ndarray, out: Sequence[np.ndarray], visit: Visit = FIRST
    ) -> None:
        for array, target in zip(self._arrays, out, strict=True):
            pick(array, indices, target)

    def example(self, index: int, visit: Visit) -> Sequence[np.ndarray]:
        return [array[index] for array in self._arrays]

    def place(self, index: int) -> str:
        return f"{self.origin}, example {index}"


def pick(array: np.ndarray, indices: np.ndarray, target: np.ndarray) -> None:
    """`target[i] = array[indices[i]]`, without a copy in between where the layouts allow it."""
    if len(indices) and not 0 <= indices.min() <= indices.max() < len(array):
        raise IndexError(f"examples {indices.min()}..{indices.max()} of {len(array)}")
    if array.dtype == target.dtype and array.flags.c_contiguous:
        # The indices are in range, so clipping changes nothing and spares NumPy a buffer.
        np.take(array, indices, axis=0, out=target, mode="clip")
    else:
        target[...] = array[indices]
