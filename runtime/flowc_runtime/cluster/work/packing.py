"""Payloads seen as tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowc_runtime.cluster.exchange import Bytes
from flowc_runtime.cluster.plan import Channel, whole_and_rows
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


def view_of(views: Mapping[str, Array], name: str) -> Array:
    """The tensor that a channel names: one of its own, or rows of its whole; KeyError."""
    if name in views:
        return views[name]
    whole, rows = whole_and_rows(name)
    if rows is None:
        raise KeyError(name)
    return views[whole][rows[0] : rows[1]]
