"""Payloads seen as tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowc_runtime.cluster.exchange import Bytes
from flowc_runtime.cluster.plan import Channel
from flowc_runtime.ops.op import Array

CACHED_VIEWS = 64  # of slots: a channel has two at each producer


class Packing:
    """The tensors of a channel's payload, by views that are made once for each slot."""

    def __init__(self, channel: Channel):
        self.channel = channel
        self._kept: dict[tuple[int, int], tuple[Bytes, tuple[Array, ...]]] = {}

    def views(self, payload: Bytes, start: int = 0) -> tuple[Array, ...]:
        """The tensors of the payload that begins `start` bytes into the array."""
        key = (id(payload), start)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= CACHED_VIEWS:
                self._kept.clear()
            # The array is kept along, so that its id is nobody else's meanwhile.
            kept = self._kept[key] = (payload, self._make(payload, start))
        return kept[1]

    def _make(self, payload: Bytes, start: int) -> tuple[Array, ...]:
        return tuple(
            np.ndarray(t.type.sizes, t.type.storage, payload, start + t.offset)
            for t in self.channel.tensors
        )


def copy_all(targets: Sequence[Array], sources: Sequence[Array]) -> None:
    for target, source in zip(targets, sources, strict=True):
        np.copyto(target, source)
