"""A step's outputs, from what the tasks say of their shards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from flowc_runtime.cluster.messages import Share
from flowc_runtime.cluster.shards import Range, fold

Held = tuple[Range, np.float32]


def outputs_of(shares: Iterable[Share], shards: int) -> Mapping[str, np.ndarray]:
    """By output the mean over the shards, f32: in the order of their tree if all are there."""
    by_name: dict[str, list[Held]] = {}
    for share in shares:
        for name, value in share.values:
            by_name.setdefault(name, []).append(((share.start, share.stop), np.float32(value)))
    return {name: np.asarray(_mean(held, shards), np.float32) for name, held in by_name.items()}


def _mean(held: Sequence[Held], shards: int) -> np.float32:
    held = sorted(held, key=lambda entry: entry[0])
    if _covers([where for where, _ in held], shards):
        return fold(held, shards, np.float32.__add__) / np.float32(shards)
    # Somebody is missing: the mean over what came.
    count = sum(stop - start for (start, stop), _ in held)
    total = np.float32(sum(value for _, value in held))
    return total / np.float32(max(count, 1))


def _covers(ranges: Sequence[Range], shards: int) -> bool:
    """Whether the ranges, in order, are all shards, each once."""
    ends = [0, *(stop for _, stop in ranges)]
    return ends[-1] == shards and all(
        start == end for (start, _), end in zip(ranges, ends, strict=False))
