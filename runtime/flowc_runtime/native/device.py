"""Binds a program: its kernels in one module of machine code, what is left to NumPy in between."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain, groupby

from flowc_runtime.memory import HostMemory
from flowc_runtime.native.build import addresses_of
from flowc_runtime.native.kernels import in_order, kernel_of, task_of
from flowc_runtime.native.pool import pool_of
from flowc_runtime.native.scans import WORDS, steady
from flowc_runtime.native.sequences import Step, Table, run_address, table_of
from flowc_runtime.native.shares import Code, steps_of
from flowc_runtime.native.standing import Standing, left_to_move
from flowc_runtime.native.target import this_target
from flowc_runtime.native.unit import Unit
from flowc_runtime.numpy_device import BoundProgram
from flowc_runtime.numpy_device.choose import Call
from flowc_runtime.numpy_device.scan import NumpyLoop
from flowc_runtime.plan import Buffer, Instruction, Program
from flowc_runtime.rounds import ends_of
from flowc_runtime.threads import blas, limit_threads

Codes = Mapping[int, tuple[Code, ...]]  # by the identity of an instruction, in order

PLACE_BYTES = 8

_RUN = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class NativeDevice:
    """Instructions run as machine code where they have some, the others as NumPy does them."""

    name = "native"

    def __init__(self) -> None:
        self._threads: int | None = None  # as many as NumPy's BLAS has
        self._known: dict[int, tuple[Program, Codes]] = {}  # a program may be bound several times

    def use_threads(self, count: int) -> None:
        """Those of machine code; BLAS has one, since its sums depend on how many it has."""
        limit_threads(min(count, 1))  # none at all is refused
        self._threads = count

    def bind(self, program: Program, memory: HostMemory) -> BoundProgram:
        if id(program) not in self._known:
            self._known[id(program)] = program, _machine_code(program)
        threads = self._threads or blas().threads or 1
        if os.name != "posix":
            threads = 1  # they wait as POSIX has it
        return NativeProgram(program, memory, self._known[id(program)][1], threads)

    def settle(self, memory: HostMemory) -> None:
        pass

    def runs_on(self, program: Program) -> tuple[str, ...]:
        return tuple(
            "+".join(sorted(_backends_of(i, program.buffers))) for i in program.instructions)


class NativeCall:
    """Some steps of machine code."""

    def __init__(self, steps: Sequence[Step], threads: int):
        self.steps = steps
        address, table = loop_over(steps, threads)
        run = _RUN(address)
        if any(step.nanoseconds for step in steps):
            self._call = partial(pool_of(threads).run, run, table)
        else:
            self._call = partial(run, table)
        self._checks = [check for step in steps for check in step.checks]

    def __call__(self) -> None:
        self._call()
        for check in self._checks:
            check()


def loop_over(steps: Sequence[Step], threads: int, rounds: int = 1) -> tuple[int, Table]:
    """The address of the loop over some steps, and the table that it is given."""
    shared = any(step.nanoseconds for step in steps)
    return run_address(shared), table_of(steps, pool_of(threads).address if shared else 0, rounds)


class NativeProgram(BoundProgram):
    """A bound program some of whose instructions have machine code."""

    def __init__(self, program: Program, memory: HostMemory, codes: Codes, threads: int):
        self._codes, self._threads = codes, threads
        super().__init__(program, memory)

    def _bind(self, instruction: Instruction) -> list[Call]:
        if id(instruction) not in self._codes:
            return super()._bind(instruction)
        return [NativeCall(self._steps(instruction), self._threads)]

    def _joined(self, pairs: list[tuple[Call, int]]) -> list[tuple[Call, int]]:
        """What is native and follows one another is entered once."""
        joined: list[tuple[Call, int]] = []
        for native, group in groupby(pairs, lambda pair: isinstance(pair[0], NativeCall)):
            run = list(group)
            if native and len(run) > 1:
                calls = [call for call, _ in run if isinstance(call, NativeCall)]
                steps = [step for call in calls for step in call.steps]
                joined.append((NativeCall(steps, self._threads), run[0][1]))
            else:
                joined += run
        return joined

    def _steps(self, instruction: Instruction) -> list[Step]:
        codes = self._codes[id(instruction)]
        if instruction.body is not None:
            return [self._step_of_scan(instruction, instruction.body, *codes)]
        tensors = (*instruction.operands, *instruction.results)
        return steps_of(
            instruction, codes, [self._view(k).ctypes.data for k in tensors], self._threads)

    def _step_of_scan(self, instruction: Instruction, body: Program, code: Code) -> Step:
        inside = NativeProgram(body, self._memory, self._codes, self._threads)
        steps = [inside._steps(one) for one in body.instructions]
        once, each = inside._once_and_each(steps)
        length = instruction.attrs["length"]
        loops = [loop_over(once, self._threads), loop_over(each, self._threads, length)]
        left, elements = left_to_move(instruction, ends_of(instruction, self._program.buffers))
        standing = self._standing(elements, [last for *_, last in steps])
        places = [at for function, table in loops for at in (function, ctypes.addressof(table))]
        places.append(ctypes.addressof(standing))
        places += [self._memory.view(buffer).ctypes.data for buffer in left.buffers]
        (step,) = steps_of(instruction, [code], places, self._threads)
        return replace(
            step, nanoseconds=sum(inner.nanoseconds for inner in (*once, *(length * each))),
            kept=(step.kept, loops, standing, once, each),
            checks=tuple(check for inner in (*once, *each) for check in inner.checks))

    def _once_and_each(self, steps: Sequence[Sequence[Step]]) -> tuple[list[Step], list[Step]]:
        """Of a body: what is done once before the rounds of a scan, and what in each round."""
        kernels = [[k for k, _ in self._codes[id(i)]] for i in self._program.instructions]
        early = steady(self._program, kernels)
        once: list[Step] = []
        each: list[Step] = []
        for number, (*before, last) in enumerate(steps):
            (once if number in early else each).extend(before)
            each.append(last)
        return once, each

    def _standing(self, elements: Sequence[Standing], steps: Sequence[Step]) -> Table:
        """How many entries, then each: where a step of the body finds a place, and which it is."""
        words: list[int] = []
        for element in elements:
            begin = self._memory.view(element.sequence).ctypes.data
            for use in element.uses:
                step = steps[use.instruction]
                for thread in range(self._threads if step.stride else 1):
                    noted = step.places + thread * step.stride + PLACE_BYTES * use.position
                    words += [noted, begin + use.offset, element.step]
        return (ctypes.c_int64 * (1 + len(words)))(len(words) // WORDS, *words)

    def loop(self, index: int) -> NumpyLoop:
        instruction = self._program.instructions[index]
        assert instruction.body is not None, "only a scan has a loop"
        inside = self._inside(instruction.body)
        return NumpyLoop(instruction, self._program, self._memory, inside)

    def _inside(self, body: Program) -> BoundProgram:
        return NativeProgram(body, self._memory, self._codes, self._threads)


def _machine_code(program: Program) -> Codes:
    """For what can be had, here and in the bodies of scans."""
    lanes = this_target().lanes
    if lanes == 1:
        return {}
    tasks = {
        id(i): in_order(task) for i, buffers in _all_of(program) if (task := task_of(i, buffers))}
    if not tasks:
        return {}
    unit = Unit(lanes)
    for task in chain.from_iterable(tasks.values()):
        unit.name_of(task)
    addresses = addresses_of(str(unit.module), list(unit.names.values()))
    return {
        number: tuple((kernel_of(task), addresses[unit.names[task]]) for task in found)
        for number, found in tasks.items()
    }


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
