"""From kernels to steps: what is worth to be shared by threads, and what each thread is given."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import partial

from flowc_runtime.device import ExecutionError
from flowc_runtime.memory import aligned_zeros
from flowc_runtime.native.sequences import Step
from flowc_runtime.native.unit import Kernel
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Instruction

WORTH_NANOSECONDS = 5_000  # of a step; opening it to others and awaiting them takes some 300
LEAST_NANOSECONDS = 1_000  # of what is taken at a time
TIMES = 4  # that a thread takes from its share: what it leaves, others can do

Code = tuple[Kernel, int]  # with the address of its function


def grain_of(kernel: Kernel, threads: int) -> int:
    """How many pieces a thread takes at a time; 0: one thread does all."""
    if threads == 1 or kernel.pieces < 2 or kernel.nanoseconds < WORTH_NANOSECONDS:
        return 0
    times = 1 if kernel.whole_shares else TIMES
    least = kernel.pieces * LEAST_NANOSECONDS / kernel.nanoseconds
    return max(-(-kernel.pieces // (threads * times)), round(least))


def steps_of(
    instruction: Instruction, codes: Sequence[Code], tensors: Sequence[int], threads: int
) -> list[Step]:
    """Those of an instruction, one after the other; `tensors` are where operands and results
    are."""
    sharing = [[aligned_zeros(size) for size in kernel.shared_bytes] for kernel, _ in codes]
    shared = [memory for each in sharing for memory in each]
    grains = [grain_of(kernel, threads) for kernel, _ in codes]
    own = [size for kernel, _ in codes for size in kernel.spilled_bytes]
    count = threads if own and any(grains) else 1
    spilled = [[aligned_zeros(size) for size in own] for _ in range(count)]
    rows = [[*tensors, *(a.ctypes.data for a in (*shared, *mine))] for mine in spilled]
    places = (ctypes.c_int64 * (count * len(rows[0])))(*(place for row in rows for place in row))
    stride = ctypes.sizeof(places) // count if count > 1 else 0
    return [
        Step(address, ctypes.addressof(places), stride, kernel.pieces, grain,
             kernel.nanoseconds if grain else 0, (places, shared, spilled),
             (partial(_check, kernel, mine, instruction),) if kernel.refuses else ())
        for (kernel, address), grain, mine in zip(codes, grains, sharing, strict=True)
    ]


def _check(kernel: Kernel, shared: Sequence[Array], instruction: Instruction) -> None:
    if reason := kernel.refusal(shared):
        raise ExecutionError.of(instruction, reason)
