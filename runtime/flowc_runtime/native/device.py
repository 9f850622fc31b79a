"""Binds a program: its kernels in one module of machine code, what is left to NumPy in between."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from llvmlite import ir

from flowc_runtime.memory import HostMemory, aligned_zeros
from flowc_runtime.native.build import addresses_of
from flowc_runtime.native.kernels import Kernel, Task, task_of
from flowc_runtime.native.target import this_target
from flowc_runtime.numpy_device import BoundProgram
from flowc_runtime.numpy_device.choose import Call
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Buffer, Instruction, Program

Code = Mapping[int, tuple[Kernel, int]]  # by the identity of an instruction, with the address

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class NativeDevice:
    """Instructions run as machine code where they have some, the others as NumPy does them."""

    name = "native"

    def __init__(self) -> None:
        self._known: dict[int, tuple[Program, Code]] = {}  # a program may be bound several times

    def bind(self, program: Program, memory: HostMemory) -> BoundProgram:
        if id(program) not in self._known:
            self._known[id(program)] = program, _machine_code(program)
        return NativeProgram(program, memory, self._known[id(program)][1])


class NativeProgram(BoundProgram):
    """A bound program some of whose instructions have an address of machine code."""

    def __init__(self, program: Program, memory: HostMemory, code: Code):
        self._code = code
        self._spilled: list[Array] = []
        super().__init__(program, memory)

    def _bind(self, instruction: Instruction) -> list[Call]:
        found = self._code.get(id(instruction))
        if found is None:
            return super()._bind(instruction)
        kernel, address = found
        places = [place.ctypes.data for place in self._places(instruction, kernel)]
        return [partial(_FUNCTION(address), (ctypes.c_void_p * len(places))(*places))]

    def runs_on(self, index: int) -> str:
        return "+".join(sorted(self._places_of(self._program.instructions[index])))

    def _places_of(self, instruction: Instruction) -> set[str]:
        if instruction.body is None:
            return {"native" if id(instruction) in self._code else "numpy"}
        return {"numpy"}.union(*map(self._places_of, instruction.body.instructions))

    def _inside(self, body: Program) -> BoundProgram:
        return NativeProgram(body, self._memory, self._code)

    def _places(self, instruction: Instruction, kernel: Kernel) -> list[Array]:
        spilled = [aligned_zeros(size) for size in kernel.spilled_bytes]
        self._spilled += spilled
        tensors = [*instruction.operands, *instruction.results]
        return [*map(self._view, tensors), *spilled]


def _machine_code(program: Program) -> Code:
    """For what can be had, here and in the bodies of scans."""
    lanes = this_target().lanes
    if lanes == 1:
        return {}
    tasks = {id(i): task for i, buffers in _all_of(program) if (task := task_of(i, buffers))}
    module = ir.Module()
    kernels: dict[Task, tuple[Kernel, str]] = {}
    for task in dict.fromkeys(tasks.values()):
        if (kernel := task.kernel()) is not None:
            kernels[task] = kernel, f"k{len(kernels)}"
            kernel.emit(module, kernels[task][1], lanes)
    if not kernels:
        return {}
    addresses = addresses_of(str(module), [name for _, name in kernels.values()])
    return {
        k: (kernels[task][0], addresses[kernels[task][1]])
        for k, task in tasks.items() if task in kernels
    }


def _all_of(program: Program) -> Iterator[tuple[Instruction, Sequence[Buffer]]]:
    for instruction in program.instructions:
        yield instruction, program.buffers
        if instruction.body is not None:
            yield from _all_of(instruction.body)
