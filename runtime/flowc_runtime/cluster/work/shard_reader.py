"""Reads the examples of a shard straight into the inputs of the gradient program."""

from __future__ import annotations

from collections.abc import Mapping

from flowc_runtime.data.stream import Stream
from flowc_runtime.ops.op import Array
from flowc_runtime.training.inputs import bind_inputs


class ShardReader:
    """Which examples a shard of a step holds follows from the numbers of both alone."""

    def __init__(self, data: Stream, size: int, inputs: Mapping[str, Array]):
        self._data = data
        self._size = size
        self._targets = bind_inputs(data, inputs, size)

    def __call__(self, step: int, shard: int, inputs: Mapping[str, Array]) -> None:
        place = self._data.position(step - 1)
        start = shard * self._size
        self._data.read_part(
            place.epoch, place.index, start, start + self._size, self._targets)


def no_shards(step: int, shard: int, inputs: Mapping[str, Array]) -> None:
    """The reader of a task that computes no gradients."""
    raise AssertionError("this task reads no examples")
