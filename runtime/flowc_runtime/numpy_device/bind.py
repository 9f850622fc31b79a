"""From instructions to calls without arguments over views of the memory."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from functools import partial

import numpy as np

from flowc_runtime.device import ExecutionError
from flowc_runtime.memory import HostMemory
from flowc_runtime.numpy_device.calls import elementwise_calls, kernel_calls
from flowc_runtime.numpy_device.choose import Call
from flowc_runtime.numpy_device.fused import fused_calls
from flowc_runtime.numpy_device.scan import NumpyLoop
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Array, BadValue
from flowc_runtime.plan import Instruction, Program
from flowc_runtime.threads import limit_threads


class NumpyDevice:
    """Runs every op by the catalog's kernels."""

    name = "numpy"

    def use_threads(self, count: int) -> None:
        """They are those of NumPy's BLAS, in this process."""
        limit_threads(count)

    def bind(self, program: Program, memory: HostMemory) -> BoundProgram:
        return BoundProgram(program, memory)

    def settle(self, memory: HostMemory) -> None:
        pass

    def runs_on(self, program: Program) -> tuple[str, ...]:
        return (self.name,) * len(program.instructions)


class BoundProgram:
    """For each instruction the calls that carry it out."""

    def __init__(self, program: Program, memory: HostMemory):
        self._program = program
        self._memory = memory
        self._elsewhere: Mapping[int, Array] = {}
        self._calls = [self._bind(i) for i in program.instructions]
        self._lists: dict[tuple[int, int], tuple[list[Call], list[int]]] = {}

    def __call__(self, start: int, stop: int) -> None:
        found, owners = self._between(start, stop)
        calls = iter(found)
        try:
            for call in calls:
                call()
        except BadValue as reason:
            index = owners[len(found) - len(list(calls)) - 1]
            raise ExecutionError.of(self._program.instructions[index], str(reason)) from reason

    def into(self, places: Mapping[int, Array]) -> BoundProgram:
        other = copy(self)
        other._elsewhere, other._lists = places, {}
        other._calls = [
            calls if places.keys().isdisjoint(instruction.results) else other._bind(instruction)
            for instruction, calls in zip(self._program.instructions, self._calls, strict=True)
        ]
        return other

    @property
    def on_host(self) -> BoundProgram:
        return self

    def _view(self, buffer: int) -> Array:
        place = self._elsewhere.get(buffer)
        return self._memory.view(self._program.buffers[buffer]) if place is None else place

    def _between(self, start: int, stop: int) -> tuple[list[Call], list[int]]:
        """The calls of some instructions as one list, which is made once; and the instruction
        that each belongs to."""
        known = self._lists.get((start, stop))
        if known is None:
            some = enumerate(self._calls[start:stop], start)
            pairs = self._joined([(call, k) for k, calls in some for call in calls])
            known = self._lists[start, stop] = [c for c, _ in pairs], [k for _, k in pairs]
        return known

    def _joined(self, pairs: list[tuple[Call, int]]) -> list[tuple[Call, int]]:
        """The calls with their instructions; fewer where several can be made one."""
        return pairs

    def loop(self, index: int) -> NumpyLoop:
        (loop,) = self._calls[index]
        assert isinstance(loop, NumpyLoop), "only a scan has a loop"
        return loop

    def _inside(self, body: Program) -> BoundProgram:
        """The body of a scan."""
        return BoundProgram(body, self._memory)

    def _bind(self, instruction: Instruction) -> list[Call]:
        buffers = self._program.buffers
        ins = tuple(map(self._view, instruction.operands))
        outs = tuple(map(self._view, instruction.results))
        scratch = self._memory.scratch(instruction.scratch_offset, instruction.scratch_bytes)
        if instruction.op == "fused":
            return fused_calls(instruction, buffers, ins, outs, scratch)
        if instruction.op == "copy":
            return [partial(np.copyto, outs[0], ins[0])]
        if instruction.body is not None:
            inside = self._inside(instruction.body)
            return [NumpyLoop(instruction, self._program, self._memory, inside)]
        if CATALOG[instruction.op].elementwise and outs[0].size:
            return elementwise_calls(instruction.op, outs[0], ins, instruction.attrs, scratch)
        return kernel_calls(instruction.op, outs, ins, instruction.attrs, scratch)
