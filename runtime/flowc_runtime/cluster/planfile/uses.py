"""When the bytes of a program's memory are first read, and last written."""

from __future__ import annotations

import numpy as np

from flowc_runtime.plan import SPACES, Buffer, Program


class Uses:
    """Each question takes one pass over the program's buffers, however often they are used."""

    def __init__(self, program: Program):
        self._count = len(program.instructions)
        read = np.full(len(program.buffers), self._count, np.int64)
        written = np.zeros(len(program.buffers), np.int64)
        for number in reversed(range(self._count)):
            read[list(program.instructions[number].operands)] = number
        for number, instruction in enumerate(program.instructions):
            written[list(instruction.results)] = number + 1
        self._read, self._written = read, written
        self._spaces = np.array([SPACES.index(b.space) for b in program.buffers], np.int64)
        self._starts = np.array([b.offset for b in program.buffers], np.int64)
        self._ends = np.array([b.end for b in program.buffers], np.int64)

    def read(self, buffer: Buffer) -> int:
        """The first instruction that reads any of the bytes; their number if there is none."""
        return int(self._read[self._meeting(buffer)].min(initial=self._count))

    def written(self, buffer: Buffer) -> int:
        """The number behind the last instruction that writes any of the bytes, or 0."""
        return int(self._written[self._meeting(buffer)].max(initial=0))

    def _meeting(self, buffer: Buffer) -> np.ndarray:
        low = np.maximum(self._starts, buffer.offset)
        high = np.minimum(self._ends, buffer.end)
        meeting: np.ndarray = (low < high) & (self._spaces == SPACES.index(buffer.space))
        return meeting
