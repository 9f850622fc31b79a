"""Scratch: the temporary arrays of a kernel, laid out in the bytes that its op declares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import NamedTuple

import numpy as np

ALIGNMENT_BYTES = 64  # every array starts on a cache line, as the scratch itself does


class Part(NamedTuple):
    """One temporary array."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize


def scratch_size(parts: Sequence[Part]) -> int:
    """The bytes that `carve` needs for `parts`."""
    return sum(_aligned(part.bytes) for part in parts)


def carve(scratch: np.ndarray, parts: Sequence[Part]) -> Iterator[np.ndarray]:
    """The arrays of `parts`, one after the other in `scratch`; their contents are arbitrary."""
    offset = 0
    for part in parts:
        yield scratch[offset : offset + part.bytes].view(part.dtype).reshape(part.shape)
        offset += _aligned(part.bytes)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
