"""Examples decoded by threads, and those that are wanted next already before they are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from flowc_runtime.data.dataset import Dataset, Visit
from flowc_runtime.threads import usable_cores
from flowc_runtime.types import DTYPES

MOST_THREADS = 8
PIECE_EXAMPLES = 4  # that one thread reads at a time
MOST_BYTES = 256 << 20  # read before they are wanted

Request = tuple[np.ndarray, Visit]  # which examples, met when


@dataclass(frozen=True)
class _Pending:
    """Examples on their way into arrays of our own."""

    indices: np.ndarray
    visit: Visit
    arrays: Sequence[np.ndarray]
    pieces: Sequence[Future[None]]

    def answers(self, request: Request) -> bool:
        indices, visit = request
        return visit == self.visit and np.array_equal(indices, self.indices)


class Ahead:
    """Reads a dataset by threads; each request may name the one that is expected to follow.

    What is read depends on the requests alone, and so does the error: that of the first piece.
    """

    def __init__(self, dataset: Dataset, threads: int | None):
        self._dataset = dataset
        self._threads = threads or min(MOST_THREADS, usable_cores())
        self._pool: ThreadPoolExecutor | None = None
        self._pending: list[_Pending] = []

    def read(self, request: Request, following: Request | None, out: Sequence[np.ndarray]) -> None:
        """Writes the examples into one array a field; DataError as the dataset raises it."""
        pieces = self._arrived(request, out)
        if pieces is None:
            _wait(self._start(request, out))
        if following is not None and self._make_room(len(following[0])):
            arrays = [
                np.empty((len(following[0]), *field.shape), DTYPES[field.dtype].storage)
                for field in self._dataset.fields
            ]
            self._pending.append(_Pending(*following, arrays, self._start(following, arrays)))

    def _arrived(self, request: Request, out: Sequence[np.ndarray]) -> _Pending | None:
        """What was read before, copied; older requests that nobody came for are given up."""
        for number, pending in enumerate(self._pending):
            if pending.answers(request):
                del self._pending[: number + 1]
                _wait(pending.pieces)
                for array, target in zip(pending.arrays, out, strict=True):
                    np.copyto(target, array)
                return pending
        return None

    def _make_room(self, examples: int) -> bool:
        """Whether so many more may wait; gives up the oldest that nobody came for."""
        size = sum(
            math.prod(field.shape) * DTYPES[field.dtype].storage.itemsize
            for field in self._dataset.fields
        )
        while self._pending and size * (self._waiting + examples) > MOST_BYTES:
            for piece in self._pending.pop(0).pieces:
                piece.cancel()
        return size * examples <= MOST_BYTES

    @property
    def _waiting(self) -> int:
        return sum(len(pending.indices) for pending in self._pending)

    def _start(self, request: Request, arrays: Sequence[np.ndarray]) -> list[Future[None]]:
        indices, visit = request
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="data")
        return [
            self._pool.submit(
                self._dataset.read, indices[start : start + PIECE_EXAMPLES],
                [array[start : start + PIECE_EXAMPLES] for array in arrays], visit)
            for start in range(0, len(indices), PIECE_EXAMPLES)
        ]  # fmt: skip


def _wait(pieces: Sequence[Future[None]]) -> None:
    """Until all pieces are there, also where one fails: the others still write into arrays."""
    errors = [error for piece in pieces if (error := piece.exception()) is not None]
    if errors:
        raise errors[0]
