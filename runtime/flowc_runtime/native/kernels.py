"""Which instructions have machine code: an entry for each op."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from llvmlite import ir

from flowc_runtime.native.convolution import conv_task
from flowc_runtime.native.expressions import elementwise_task, fused_task
from flowc_runtime.native.pooling import pool_task
from flowc_runtime.native.products import product_task
from flowc_runtime.ops import CATALOG
from flowc_runtime.plan import Buffer, Instruction


class Kernel(Protocol):
    """Code to be written: `spilled_bytes` are those of memory of its own, zeroed once."""

    @property
    def spilled_bytes(self) -> tuple[int, ...]: ...

    def emit(self, module: ir.Module, name: str, lanes: int) -> None:
        """Adds the function `name(places)`: of operands, results, and what is spilled."""


class Task(Protocol):
    """All that the code of an instruction depends on: hashable, since many have the same."""

    def kernel(self) -> Kernel | None:
        """None where it is left to NumPy."""


TaskOf = Callable[[Instruction, Sequence[Buffer]], Task | None]
TASKS: Mapping[str, TaskOf] = {
    **{name: elementwise_task for name, op in CATALOG.items() if op.elementwise},
    "fused": fused_task,
    "conv": conv_task,
    "conv_input_grad": conv_task,
    "conv_weight_grad": conv_task,
    "matmul": product_task,
    "max_pool": pool_task,
    "max_pool_grad": pool_task,
    "avg_pool": pool_task,
    "avg_pool_grad": pool_task,
}


def task_of(instruction: Instruction, buffers: Sequence[Buffer]) -> Task | None:
    """None where NumPy has to do it."""
    find = TASKS.get(instruction.op)
    return None if find is None else find(instruction, buffers)
