"""Inputs on their way to the GPU, and outputs on their way back, through pinned memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from flowc_runtime.cuda.memory import ALIGNMENT_BYTES, NON_BLOCKING, GpuMemory
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Buffer

SLOTS = 2  # one is filled while the other is still being copied
NO_TIMING = 2


class Feed:
    """Puts the inputs in place, in the order of the runs.

    They are copied beside what is being computed, to a place of their own; only the step from
    there to where the plan has them is in line with the instructions.
    """

    def __init__(self, memory: GpuMemory, inputs: Sequence[Buffer]):
        self._memory = memory
        self._driver = memory.gpu.driver
        self._stream = self._driver.Stream(NON_BLOCKING)
        self._inputs = list(_laid_out(inputs))
        size = sum(_rounded(buffer) for buffer in inputs)
        self._slots = [_Slot(self._driver, size) for _ in range(SLOTS if size else 0)]

    def send(self) -> None:
        """What the host's memory has now; it may be written again when this returns."""
        if not self._slots:
            return
        slot = self._slots[0]
        self._slots = [*self._slots[1:], slot]
        slot.copied.synchronize()  # what was in it before has left
        for buffer, start in self._inputs:
            _part(slot.pinned, buffer, start)[...] = self._memory.host.view(buffer)
        self._stream.wait_for_event(slot.used)
        self._driver.memcpy_htod_async(slot.staged, slot.pinned, self._stream)
        slot.copied.record(self._stream)
        self._put(slot)

    def _put(self, slot: _Slot) -> None:
        main = self._memory.streams[0]
        main.wait_for_event(slot.copied)
        for buffer, start in self._inputs:
            self._driver.memcpy_dtod_async(
                self._memory.address(buffer), int(slot.staged) + start, buffer.type.bytes, main)
        slot.used.record(main)


class _Slot:
    def __init__(self, driver: Any, size: int):
        self.pinned = driver.pagelocked_empty(size, np.uint8)
        self.staged = driver.mem_alloc(size)
        self.copied, self.used = driver.Event(NO_TIMING), driver.Event(NO_TIMING)


class Returns:
    """Brings some tensors to the host's memory."""

    def __init__(self, memory: GpuMemory, outputs: Sequence[Buffer]):
        self._memory = memory
        self._outputs = list(_laid_out(outputs))
        size = sum(_rounded(buffer) for buffer in outputs)
        self._pinned = memory.gpu.driver.pagelocked_empty(max(1, size), np.uint8)

    def fetch(self) -> list[Array]:
        """Waits for all that was begun; the tensors, which are good until the next time."""
        main = self._memory.streams[0]
        found = [_part(self._pinned, buffer, start) for buffer, start in self._outputs]
        for (buffer, _), array in zip(self._outputs, found, strict=True):
            self._memory.gpu.driver.memcpy_dtoh_async(array, self._memory.address(buffer), main)
        main.synchronize()
        return found


def _laid_out(buffers: Sequence[Buffer]) -> Iterator[tuple[Buffer, int]]:
    """Each tensor with its offset, where they lie one behind the other."""
    end = 0
    for buffer in buffers:
        yield buffer, end
        end += _rounded(buffer)


def _rounded(buffer: Buffer) -> int:
    return -(-buffer.type.bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _part(pinned: Array, buffer: Buffer, start: int) -> Array:
    return np.ndarray(buffer.type.sizes, buffer.type.storage, pinned, start)
