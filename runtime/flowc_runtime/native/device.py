"""Binds a program: its kernels in one module of machine code, what is left to NumPy in between."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby

from flowc_runtime.memory import HostMemory, aligned_zeros
from flowc_runtime.native.build import addresses_of
from flowc_runtime.native.kernels import kernel_of, task_of
from flowc_runtime.native.sequences import sequence_address
from flowc_runtime.native.target import this_target
from flowc_runtime.native.unit import Kernel, Unit
from flowc_runtime.numpy_device import BoundProgram
from flowc_runtime.numpy_device.choose import Call
from flowc_runtime.numpy_device.scan import NumpyLoop
from flowc_runtime.plan import Buffer, Instruction, Program
from flowc_runtime.rounds import ends_of

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

    def settle(self, memory: HostMemory) -> None:
        pass

    def runs_on(self, program: Program) -> tuple[str, ...]:
        return tuple(
            "+".join(sorted(_backends_of(i, program.buffers))) for i in program.instructions)


class NativeCall:
    """A function of machine code and what it is given."""

    def __init__(
        self, address: int, table: ctypes.Array[ctypes.c_void_p], kept: Sequence[object] = ()
    ):
        self.address, self.table = address, table
        self._kept = kept  # what only addresses in the table refer to
        self._call = partial(_FUNCTION(address), table)

    def __call__(self) -> None:
        self._call()


def _one_after_the_other(calls: Sequence[NativeCall]) -> NativeCall:
    """One call: how many there are, then the address of each and of its table."""
    addresses = [len(calls)]
    for call in calls:
        addresses += [call.address, ctypes.addressof(call.table)]
    return NativeCall(sequence_address(), (ctypes.c_void_p * len(addresses))(*addresses), calls)


class NativeProgram(BoundProgram):
    """A bound program some of whose instructions have an address of machine code."""

    def __init__(self, program: Program, memory: HostMemory, code: Code):
        self._code = code
        self._kept: list[object] = []  # what only addresses in tables refer to
        super().__init__(program, memory)

    def _bind(self, instruction: Instruction) -> list[Call]:
        found = self._code.get(id(instruction))
        if found is None:
            return super()._bind(instruction)
        return [NativeCall(found[1], self._table(instruction))]

    def _joined(self, pairs: list[tuple[Call, int]]) -> list[tuple[Call, int]]:
        """What is native and follows one another is entered once."""
        joined: list[tuple[Call, int]] = []
        for native, group in groupby(pairs, lambda pair: isinstance(pair[0], NativeCall)):
            run = list(group)
            if native and len(run) > 1:
                calls = [call for call, _ in run if isinstance(call, NativeCall)]
                joined.append((_one_after_the_other(calls), run[0][1]))
            else:
                joined += run
        return joined

    def _table(self, instruction: Instruction) -> ctypes.Array[ctypes.c_void_p]:
        """The places that the instruction's code is given."""
        if instruction.body is not None:
            addresses = self._addresses_of_scan(instruction, instruction.body)
        else:
            kernel, _ = self._code[id(instruction)]
            spilled = [aligned_zeros(size) for size in kernel.spilled_bytes]
            self._kept += spilled
            tensors = [*instruction.operands, *instruction.results]
            addresses = [a.ctypes.data for a in (*map(self._view, tensors), *spilled)]
        return (ctypes.c_void_p * len(addresses))(*addresses)

    def _addresses_of_scan(self, instruction: Instruction, body: Program) -> list[int]:
        inside = NativeProgram(body, self._memory, self._code)
        tables = [inside._table(i) for i in body.instructions]
        self._kept += [inside, *tables]
        ends = ends_of(instruction, self._program.buffers)
        pairs = (*ends.starts, *ends.fed, *ends.yielded)
        between = [self._memory.view(buffer) for pair in pairs for buffer in pair]
        return [*map(ctypes.addressof, tables), *(view.ctypes.data for view in between)]

    def loop(self, index: int) -> NumpyLoop:
        instruction = self._program.instructions[index]
        assert instruction.body is not None, "only a scan has a loop"
        inside = self._inside(instruction.body)
        return NumpyLoop(instruction, self._program, self._memory, inside)

    def _inside(self, body: Program) -> BoundProgram:
        return NativeProgram(body, self._memory, self._code)


def _machine_code(program: Program) -> Code:
    """For what can be had, here and in the bodies of scans."""
    lanes = this_target().lanes
    if lanes == 1:
        return {}
    tasks = {id(i): task for i, buffers in _all_of(program) if (task := task_of(i, buffers))}
    if not tasks:
        return {}
    unit = Unit(lanes)
    names = {task: unit.name_of(task) for task in dict.fromkeys(tasks.values())}
    addresses = addresses_of(str(unit.module), list(unit.names.values()))
    found: dict[int, tuple[Kernel, int]] = {}
    for number, task in tasks.items():
        if (kernel := kernel_of(task)) is not None:
            found[number] = kernel, addresses[names[task]]
    return found


def _backends_of(instruction: Instruction, buffers: Sequence[Buffer]) -> set[str]:
    if this_target().lanes > 1 and task_of(instruction, buffers) is not None:
        return {"native"}
    if (body := instruction.body) is None:
        return {"numpy"}
    return {"numpy"}.union(*(_backends_of(i, body.buffers) for i in body.instructions))


def _all_of(program: Program) -> Iterator[tuple[Instruction, Sequence[Buffer]]]:
    """A scan after its body."""
    for instruction in program.instructions:
        if instruction.body is not None:
            yield from _all_of(instruction.body)
        yield instruction, program.buffers
