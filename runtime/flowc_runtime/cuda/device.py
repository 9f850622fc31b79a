"""Binds a program: its kernels in one module of the GPU's machine code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from flowc_runtime.cuda.compile import Compiler, code_of, find_compiler
from flowc_runtime.cuda.driver import Gpu
from flowc_runtime.cuda.kernel import Kernel, module_text
from flowc_runtime.cuda.kernels import launches_of
from flowc_runtime.cuda.memory import GpuMemory
from flowc_runtime.cuda.program import CudaProgram, Launches
from flowc_runtime.memory import HostMemory
from flowc_runtime.plan import Program


class CudaDevice:
    """Instructions run on the first GPU where they have kernels, the others as NumPy does them.

    The GPU is opened when a program is bound: what has kernels can be told without one.
    """

    name = "cuda"

    def __init__(self, compiler: Compiler | None = None) -> None:
        self._compiler = compiler
        self._gpu: Gpu | None = None
        self._memories: WeakKeyDictionary[HostMemory, GpuMemory] = WeakKeyDictionary()

    def bind(self, program: Program, memory: HostMemory) -> CudaProgram:
        """Raises BackendError."""
        self._gpu = self._gpu or Gpu()
        launches = [launches_of(i, program.buffers) for i in program.instructions]
        with self._gpu.current():
            if memory not in self._memories:
                self._memories[memory] = GpuMemory(self._gpu, memory)
            functions = self._functions(self._gpu, launches)
            return CudaProgram(program, self._memories[memory], launches, functions)

    def settle(self, memory: HostMemory) -> None:
        if self._gpu is not None and memory in self._memories:
            with self._gpu.current():
                self._memories[memory].give_variables()

    def runs_on(self, program: Program) -> tuple[str, ...]:
        return tuple(
            "numpy" if launches_of(i, program.buffers) is None else self.name
            for i in program.instructions)

    def _functions(self, gpu: Gpu, launches: Launches) -> Mapping[Kernel, Any]:
        kernels = list(dict.fromkeys(launch.kernel for some in launches for launch in some or ()))
        if not kernels:
            return {}
        self._compiler = self._compiler or find_compiler()
        code = code_of(module_text(kernels), gpu.arch, self._compiler)
        module = gpu.driver.module_from_buffer(code)
        return {kernel: module.get_function(f"k{n}") for n, kernel in enumerate(kernels)}


def kernels_of(programs: Sequence[Program]) -> list[Kernel]:
    """All kernels of some programs, each once."""
    return list(dict.fromkeys(
        launch.kernel for program in programs for i in program.instructions
        for launch in launches_of(i, program.buffers) or ()))
