"""Binds a program: its kernels in one module of the GPU's machine code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from weakref import WeakValueDictionary

from flowc_runtime.cuda.compile import Compiler, code_of, find_compiler
from flowc_runtime.cuda.driver import Gpu
from flowc_runtime.cuda.kernel import Kernel, module_text
from flowc_runtime.cuda.kernels import launches_of
from flowc_runtime.cuda.memory import GpuMemory
from flowc_runtime.cuda.program import CudaProgram, Launches
from flowc_runtime.memory import HostMemory
from flowc_runtime.plan import Program
from flowc_runtime.threads import limit_threads


class CudaDevice:
    """Instructions run on the first GPU where they have kernels, the others as NumPy does them.

    The GPU is opened when a program is bound: what has kernels can be told without one.
    """

    name = "cuda"

    def __init__(self, compiler: Compiler | None = None) -> None:
        self._compiler = compiler
        self._gpu: Gpu | None = None
        # By the identity of the host's, which each of them holds on to; bound programs hold them.
        self._memories: WeakValueDictionary[int, GpuMemory] = WeakValueDictionary()

    def use_threads(self, count: int) -> None:
        """They are those of NumPy's BLAS, for what has no kernel."""
        limit_threads(count)

    def bind(self, program: Program, memory: HostMemory) -> CudaProgram:
        """Raises BackendError."""
        self._gpu = self._gpu or Gpu()
        launches = [launches_of(i, program.buffers) for i in program.instructions]
        with self._gpu.current():
            held = self._memories.get(id(memory)) or GpuMemory(self._gpu, memory)
            self._memories[id(memory)] = held
            return CudaProgram(program, held, launches, self._functions(self._gpu, launches))

    def settle(self, memory: HostMemory) -> None:
        held = self._memories.get(id(memory))
        if held is not None:
            with held.gpu.current():
                held.give_variables()

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
