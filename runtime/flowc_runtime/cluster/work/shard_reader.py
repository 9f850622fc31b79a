"""Reads the examples of a shard straight into the inputs of the gradient program."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from flowc_runtime.data.stream import Stream
from flowc_runtime.ops.op import Array
from flowc_runtime.training.inputs import bind_inputs


class ShardReader:
    """Which examples a shard of a step holds follows from the numbers of both alone."""

    def __init__(self, data: Stream, size: int, received: Collection[str] = ()):
        self._data = data
        self._size = size
        self._received = received  # inputs that come from other tasks
        self._targets: dict[int, tuple[Mapping[str, Array], list[Array]]] = {}

    def bind(self, inputs: Mapping[str, Array]) -> list[Array]:
        """Where the fields go in these inputs; DataError where they do not fit."""
        if id(inputs) not in self._targets:
            fed = {name: view for name, view in inputs.items() if name not in self._received}
            targets = bind_inputs(self._data, fed, self._size)
            self._targets[id(inputs)] = (inputs, targets)
        return self._targets[id(inputs)][1]

    def __call__(self, step: int, shard: int, inputs: Mapping[str, Array]) -> None:
        place = self._data.position(step - 1)
        start = shard * self._size
        stop = start + self._size
        self._data.read_part(place.epoch, place.index, start, stop, self.bind(inputs))


def no_shards(step: int, shard: int, inputs: Mapping[str, Array]) -> None:
    """The reader of a task that computes no gradients."""
    raise AssertionError("this task reads no examples")
