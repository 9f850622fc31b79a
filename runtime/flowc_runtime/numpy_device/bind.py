"""From instructions to calls without arguments over views of the memory."""

from __future__ import annotations

from functools import partial

import numpy as np

from flowc_runtime.device import ExecutionError
from flowc_runtime.memory import HostMemory
from flowc_runtime.numpy_device.calls import elementwise_calls, kernel_call
from flowc_runtime.numpy_device.choose import Call
from flowc_runtime.numpy_device.fused import fused_calls
from flowc_runtime.numpy_device.scan import NumpyLoop
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import BadValue
from flowc_runtime.plan import Instruction, Program


class NumpyDevice:
    """Runs every op by the catalog's kernels."""

    name = "numpy"

    def bind(self, program: Program, memory: HostMemory) -> BoundProgram:
        return BoundProgram(program, memory)


class BoundProgram:
    """For each instruction the calls that carry it out."""

    def __init__(self, program: Program, memory: HostMemory):
        self._program = program
        self._memory = memory
        self._calls = [self._bind(i) for i in program.instructions]

    def __call__(self, start: int, stop: int) -> None:
        index = start
        try:
            for index in range(start, stop):
                for call in self._calls[index]:
                    call()
        except BadValue as reason:
            raise ExecutionError.of(self._program.instructions[index], str(reason)) from reason

    def loop(self, index: int) -> NumpyLoop:
        (loop,) = self._calls[index]
        assert isinstance(loop, NumpyLoop), "only a scan has a loop"
        return loop

    def _bind(self, instruction: Instruction) -> list[Call]:
        buffers = self._program.buffers
        ins = tuple(self._memory.view(buffers[k]) for k in instruction.operands)
        outs = tuple(self._memory.view(buffers[k]) for k in instruction.results)
        scratch = self._memory.scratch(instruction.scratch_offset, instruction.scratch_bytes)
        if instruction.op == "fused":
            return fused_calls(instruction, buffers, ins, outs, scratch)
        if instruction.op == "copy":
            return [partial(np.copyto, outs[0], ins[0])]
        if instruction.body is not None:
            inside = BoundProgram(instruction.body, self._memory)
            return [NumpyLoop(instruction, self._program, self._memory, inside)]
        if CATALOG[instruction.op].elementwise and outs[0].size:
            return elementwise_calls(instruction.op, outs[0], ins, instruction.attrs, scratch)
        return [kernel_call(instruction.op, outs, ins, instruction.attrs, scratch)]
