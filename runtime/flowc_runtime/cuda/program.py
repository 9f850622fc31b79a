"""A bound program: its launches on streams, what NumPy does in between, and graphs of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from flowc_runtime.cuda.crossing import NO_TIMING, Feed, Returns
from flowc_runtime.cuda.graph import Graph
from flowc_runtime.cuda.indexing import REFUSED
from flowc_runtime.cuda.kernel import Kernel, Launch
from flowc_runtime.cuda.memory import GpuMemory
from flowc_runtime.cuda.schedule import Turn, schedule
from flowc_runtime.device import BackendError, ExecutionError
from flowc_runtime.numpy_device import BoundProgram
from flowc_runtime.numpy_device.scan import NumpyLoop
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Buffer, Program

Launches = Sequence[tuple[Launch, ...] | None]  # of each instruction; None where NumPy does it
Piece = Callable[[], None]


class CudaProgram:
    """Runs instructions on the GPU, in its `memory`, and the others by NumPy on copies."""

    def __init__(
        self, program: Program, memory: GpuMemory, launches: Launches,
        functions: Mapping[Kernel, Any],
    ):
        self.memory = memory
        self._program, self._launches = program, launches
        self._host = BoundProgram(program, memory.host)
        self._feed = Feed(memory, [program.buffers[p.buffer] for p in program.inputs])
        self._work = _Work(program, memory, launches, functions)
        self._ranges: dict[tuple[int, int], _Range] = {}

    def __call__(self, start: int, stop: int) -> None:
        with self.memory.gpu.current():
            if start == 0:
                self.memory.take_variables()
                self._feed.send()
            refused = self._range(start, stop).run()
        if refused:
            self._refuse(start, stop)

    @property
    def on_host(self) -> BoundProgram:
        with self.memory.gpu.current():
            self.memory.give_variables()
        return self._host

    def into(self, places: Mapping[int, Array]) -> CudaProgram:
        raise BackendError("backend-alone", "results of the CUDA backend lie on the GPU only")

    def loop(self, index: int) -> NumpyLoop:
        return self.on_host.loop(index)

    def _range(self, start: int, stop: int) -> _Range:
        if (start, stop) not in self._ranges:
            outputs = list(dict.fromkeys(
                self._program.buffers[p.buffer] for p in self._program.outputs))
            self._ranges[start, stop] = _Range(
                self.memory, list(self._pieces(start, stop)),
                [b for b in outputs if self._is_new(b, start, stop)],
                any(REFUSED in launch.places for some in self._launches[start:stop]
                    for launch in some or ()))  # fmt: skip
        return self._ranges[start, stop]

    def _pieces(self, start: int, stop: int) -> Iterator[Piece]:
        """Instructions with kernels that follow one another are one; each other one is one."""
        numbers = range(start, stop)
        for here, group in groupby(numbers, lambda k: self._launches[k] is not None):
            some = list(group)
            if here:
                yield _Stretch(self._work, some[0], some[-1] + 1)
            else:
                yield from (_ByNumpy(self._program, self.memory, self._host, k) for k in some)

    def _is_new(self, output: Buffer, start: int, stop: int) -> bool:
        """Whether the host does not have it yet: of this range's, or a variable."""
        some = self._program.instructions[start:stop]
        written = any(self._program.buffers[k].meets(output) for i in some for k in i.results)
        return written or (output.space == "variables" and stop == len(self._program.instructions))

    def _refuse(self, start: int, stop: int) -> None:
        """NumPy comes upon the same, and says what it is; after the commit it is too late."""
        if start == 0:
            self.on_host(0, stop)
        first = next(
            i for i, some in zip(self._program.instructions[start:], self._launches[start:],
                                 strict=True)
            if some and any(REFUSED in launch.places for launch in some))  # fmt: skip
        raise ExecutionError.of(first, "an index is outside of what it indexes")


class _Range:
    """Some instructions, the outputs that are made by them, and whether they may refuse data."""

    def __init__(
        self, memory: GpuMemory, pieces: Sequence[Piece], outputs: Sequence[Buffer], refuses: bool
    ):
        self._memory, self._pieces, self._outputs, self._refuses = memory, pieces, outputs, refuses
        self._returns = Returns(memory, [*outputs, *([REFUSED] if refuses else [])])

    def run(self) -> bool:
        """Returns at once where nothing is to be brought back; whether data were refused."""
        if self._refuses:
            address = self._memory.address(REFUSED)
            self._memory.gpu.driver.memset_d32_async(address, 0, 1, self._memory.streams[0])
        for piece in self._pieces:
            piece()
        if not self._outputs and not self._refuses:
            return False
        found = self._returns.fetch()
        for buffer, array in zip(self._outputs, found, strict=False):
            np.copyto(self._memory.host.view(buffer), array)
        return self._refuses and bool(found[-1])


class _Work:
    """Puts instructions on the streams."""

    def __init__(
        self, program: Program, memory: GpuMemory, launches: Launches,
        functions: Mapping[Kernel, Any],
    ):
        self.memory = memory
        self._turns = schedule(program, len(memory.streams))
        self._calls = [
            [_call(launch, functions[launch.kernel], memory) for launch in some or ()]
            for some in launches]
        awaited = {number for turn in self._turns for number in turn.waits}
        new = memory.gpu.driver.Event
        self._done = {number: new(NO_TIMING) for number in awaited}
        self._fork, self._joins = new(NO_TIMING), [new(NO_TIMING) for _ in memory.streams]

    def issue(self, start: int, stop: int) -> None:
        """The first stream goes on when all of them are done."""
        main, *_ = streams = self.memory.streams
        others = sorted({turn.lane for turn in self._turns[start:stop]} - {0})
        if others:
            self._fork.record(main)
        for lane in others:
            streams[lane].wait_for_event(self._fork)
        for number in range(start, stop):
            self._issue_one(number, self._turns[number], start)
        for lane in others:
            self._joins[lane].record(streams[lane])
            main.wait_for_event(self._joins[lane])

    def _issue_one(self, number: int, turn: Turn, start: int) -> None:
        stream = self.memory.streams[turn.lane]
        for other in turn.waits:
            if other >= start:  # all before was joined
                stream.wait_for_event(self._done[other])
        for function, grid, block, arguments in self._calls[number]:
            function._launch_kernel(grid, block, arguments, 0, stream)
        if number in self._done:
            self._done[number].record(stream)


def _call(launch: Launch, function: Any, memory: GpuMemory) -> tuple[Any, Any, Any, bytes]:
    """Arguments are packed once: they are addresses, which do not change."""
    addresses = np.array([memory.address(place) for place in launch.places], np.uint64)
    return function, (launch.blocks, 1, 1), (launch.kernel.threads, 1, 1), addresses.tobytes()


class _Stretch:
    """Launched one by one the first time, and as a graph from then on."""

    def __init__(self, work: _Work, start: int, stop: int):
        self._work, self._start, self._stop = work, start, stop
        self._runs = 0
        self._graph: Graph | None = None

    def __call__(self) -> None:
        if self._graph is not None:
            self._graph.launch()
        elif self._runs:
            self._graph = Graph(self._work.memory.streams[0], self._issue)
            self._graph.launch()
        else:
            self._issue()
        self._runs += 1

    def _issue(self) -> None:
        self._work.issue(self._start, self._stop)


class _ByNumpy:
    """An instruction without kernels."""

    def __init__(self, program: Program, memory: GpuMemory, host: BoundProgram, number: int):
        instruction = program.instructions[number]
        self._operands = [program.buffers[k] for k in instruction.operands]
        self._results = [program.buffers[k] for k in instruction.results]
        self._memory, self._host, self._number = memory, host, number

    def __call__(self) -> None:
        self._memory.fetch(self._operands)
        self._host(self._number, self._number + 1)
        self._memory.store(self._results)
