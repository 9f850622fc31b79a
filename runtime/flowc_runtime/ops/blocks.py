"""Walks over operands in blocks small enough for the cache, for kernels that need temporaries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from flowc_runtime.ops.op import Array

BLOCK_ELEMENTS = 8192
BLOCK_BYTES = BLOCK_ELEMENTS * 8  # of the widest dtype

WRITE: Final = ("writeonly", "no_broadcast")  # NumPy's words for how a walk treats an operand
READ: Final = ("readonly",)


def blocks(out: Array, *ins: Array, dtype: np.dtype | None = None) -> Iterator[tuple[Array, ...]]:
    """One-dimensional blocks of `out` and of `ins` stretched to it, whatever their strides.

    With a `dtype`, all are converted: what is written into the first block ends up in `out`.
    """
    if out.size == 0:
        return
    walk = np.nditer(
        [out, *ins],
        flags=["external_loop", "buffered", "delay_bufalloc"],
        op_flags=[WRITE, *(READ for _ in ins)],
        op_dtypes=[dtype or x.dtype for x in (out, *ins)],
        casting="same_kind",
        order="C",
        buffersize=BLOCK_ELEMENTS,
    )
    with walk:
        walk.reset()
        yield from walk


def temporaries(scratch: Array, count: int, dtype: np.dtype, size: int) -> list[Array]:
    """`count` arrays of `size` elements, up to BLOCK_ELEMENTS, over `scratch`."""
    return [
        scratch[i * BLOCK_BYTES : (i + 1) * BLOCK_BYTES].view(dtype)[:size] for i in range(count)
    ]
