"""Which instructions have kernels: an entry for each op."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import prod

from flowc_runtime.cuda.convolution import conv_launches
from flowc_runtime.cuda.expressions import (
    elementwise_launches,
    fused_launches,
    row_launches,
)
from flowc_runtime.cuda.indexing import INDEXING, index_launches
from flowc_runtime.cuda.kernel import Launch
from flowc_runtime.cuda.moves import move_launches
from flowc_runtime.cuda.pooling import pool_launches
from flowc_runtime.cuda.products import matmul_launches
from flowc_runtime.cuda.random import random_launches
from flowc_runtime.cuda.reductions import reduce_launches
from flowc_runtime.cuda.scans import scan_launches
from flowc_runtime.expression import ROW_OPS
from flowc_runtime.moves import MOVING
from flowc_runtime.ops import CATALOG
from flowc_runtime.plan import Buffer, Instruction

MOST_ELEMENTS = 2**31 - 1  # of a tensor, so that kernels can count in 32 bits

Launches = tuple[Launch, ...]
LaunchesOf = Callable[[Instruction, Sequence[Buffer]], Launches | None]


def _reduction(instruction: Instruction, buffers: Sequence[Buffer]) -> Launches | None:
    return row_launches(instruction, buffers) or reduce_launches(instruction, buffers)


KERNELS: Mapping[str, LaunchesOf] = {
    **{name: elementwise_launches for name, op in CATALOG.items() if op.elementwise},
    **dict.fromkeys(MOVING, move_launches),
    **dict.fromkeys(INDEXING, index_launches),
    **dict.fromkeys(ROW_OPS.values(), _reduction),
    "fused": fused_launches,
    "matmul": matmul_launches,
    "conv": conv_launches,
    "conv_input_grad": conv_launches,
    "conv_weight_grad": conv_launches,
    "max_pool": pool_launches,
    "max_pool_grad": pool_launches,
    "avg_pool": pool_launches,
    "avg_pool_grad": pool_launches,
    "random_uniform": random_launches,
    "random_normal": random_launches,
}


def launches_of(instruction: Instruction, buffers: Sequence[Buffer]) -> Launches | None:
    """In order; None where NumPy has to do it, as where a tensor has no elements, or too many."""
    operands = [buffers[k] for k in instruction.operands]
    results = [buffers[k] for k in instruction.results]
    sizes = [prod(b.type.sizes) for b in (*operands, *results)]
    if not all(0 < size <= MOST_ELEMENTS for size in sizes):
        return None
    if instruction.body is not None:
        return _scan(instruction, buffers)
    find = KERNELS.get(instruction.op)
    in_place = find in (fused_launches, elementwise_launches)
    if not in_place and any(r.meets(o) for r in results for o in operands):
        return None
    return None if find is None else find(instruction, buffers)


def _scan(instruction: Instruction, buffers: Sequence[Buffer]) -> Launches | None:
    assert instruction.body is not None
    inside: list[Launch] = []
    for one in instruction.body.instructions:
        found = launches_of(one, instruction.body.buffers)
        if found is None:
            return None
        inside += found
    return scan_launches(instruction, buffers, inside)
