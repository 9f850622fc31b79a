"""Which instructions have machine code: an entry for each op."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from flowc_runtime.expression import ROW_OPS
from flowc_runtime.moves import MOVING
from flowc_runtime.native.convolution import conv_task
from flowc_runtime.native.expressions import elementwise_task, fused_task, row_task
from flowc_runtime.native.indexing import gather_task, put_task, scatter_task, take_task
from flowc_runtime.native.moving import move_task
from flowc_runtime.native.pooling import pool_task
from flowc_runtime.native.products import product_task
from flowc_runtime.native.random import random_task
from flowc_runtime.native.scans import scan_task
from flowc_runtime.native.sums import sum_task
from flowc_runtime.native.unit import Kernel, Task
from flowc_runtime.ops import CATALOG
from flowc_runtime.plan import Buffer, Instruction

TaskOf = Callable[[Instruction, Sequence[Buffer]], Task | None]
TASKS: Mapping[str, TaskOf] = {
    **{name: elementwise_task for name, op in CATALOG.items() if op.elementwise},
    **dict.fromkeys(MOVING, move_task),
    **dict.fromkeys(ROW_OPS.values(), row_task),
    "reduce_sum": lambda i, buffers: row_task(i, buffers) or sum_task(i, buffers),
    "fused": fused_task,
    "matmul": product_task,
    "conv": conv_task,
    "conv_input_grad": conv_task,
    "conv_weight_grad": conv_task,
    "max_pool": pool_task,
    "max_pool_grad": pool_task,
    "avg_pool": pool_task,
    "avg_pool_grad": pool_task,
    "gather": gather_task,
    "scatter_add": scatter_task,
    "take_along": take_task,
    "put_along": put_task,
    "random_uniform": random_task,
}


def task_of(instruction: Instruction, buffers: Sequence[Buffer]) -> Task | None:
    """None where NumPy has to do it."""
    if (body := instruction.body) is not None:
        inside = [task_of(i, body.buffers) for i in body.instructions]
        return scan_task(instruction, buffers, inside)
    find = TASKS.get(instruction.op)
    task = None if find is None else find(instruction, buffers)
    return task if task is not None and _kernel(task) is not None else None


def in_order(task: Task) -> tuple[Task, ...]:
    """What has to be done before it, then the task itself."""
    before = kernel_of(task).before
    return (task,) if before is None else (*in_order(before), task)


def kernel_of(task: Task) -> Kernel:
    """Of a task that `task_of` has found."""
    kernel = _kernel(task)
    assert kernel is not None, "a task without code is none"
    return kernel


@lru_cache(maxsize=1024)
def _kernel(task: Task) -> Kernel | None:
    return task.kernel()
