"""Kernels as text, and launches of them; a module of CUDA C that holds each kernel once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from flowc_runtime.cuda.text import TYPES, indented
from flowc_runtime.plan import Buffer

THREADS = 256  # of a block, where nothing asks for another number


@dataclass(frozen=True, slots=True)
class Kernel:
    """A function of CUDA C without its name. `parameters` are the names and dtypes of the tensors
    that it is given the places of, `body` its lines, `helpers` the device functions it calls."""

    parameters: tuple[tuple[str, str], ...]
    body: tuple[str, ...]
    threads: int = THREADS
    helpers: tuple[str, ...] = ()

    def text(self, name: str) -> str:
        given = ", ".join(f"{TYPES[dtype]}* {given}" for given, dtype in self.parameters)
        head = f'extern "C" __global__ void __launch_bounds__({self.threads}) {name}({given})'
        return "\n".join([head, "{", *indented(self.body), "}"])


@dataclass(frozen=True, slots=True)
class Launch:
    """A kernel on the tensors that its parameters name, in so many blocks."""

    kernel: Kernel
    places: tuple[Buffer, ...]
    blocks: int


def each_element(elements: int) -> int:
    """The blocks in which every element has a thread."""
    return -(-elements // THREADS)


def own_element(elements: int) -> tuple[str, ...]:
    """Lines that begin such a kernel: which element a thread has, if there is one for it."""
    return (
        f"const unsigned at = blockIdx.x * {THREADS}u + threadIdx.x;",
        f"if (at >= {elements}u) return;")


def module_text(kernels: Sequence[Kernel]) -> str:
    """The kernels as `k0`, `k1` and so on, behind the helpers that they need."""
    helpers = dict.fromkeys(helper for kernel in kernels for helper in kernel.helpers)
    functions = [kernel.text(f"k{number}") for number, kernel in enumerate(kernels)]
    return "\n\n".join([*helpers, *functions]) + "\n"


def parameters_of(
    operands: Iterable[Buffer], results: Iterable[Buffer]
) -> tuple[tuple[str, str], ...]:
    """Operands are called `I0` and so on, results `O0`."""
    named = [(f"I{k}", b.type.dtype) for k, b in enumerate(operands)]
    return (*named, *((f"O{k}", b.type.dtype) for k, b in enumerate(results)))
