"""bf16, the upper half of an f32 held in a uint16: conversions by bit shifts."""

from __future__ import annotations

import numpy as np

from flowc_runtime.ops.blocks import blocks, temporaries
from flowc_runtime.ops.op import Array

BF16_BLOCKS = 2  # temporaries of BLOCK_BYTES that a conversion needs
F32, U32 = np.dtype(np.float32), np.dtype(np.uint32)


def from_bf16(out: Array, x: Array, scratch: Array) -> None:
    """Every bf16 is an f32 with its lower half zero."""
    for target, bits in blocks(out, x):
        wide = temporaries(scratch, 1, U32, bits.size)[0]
        np.copyto(wide, bits)
        np.left_shift(wide, 16, out=wide)
        np.copyto(target, wide.view(F32), casting="unsafe")


def to_bf16(out: Array, x: Array, scratch: Array) -> None:
    """Rounds to nearest, ties to even; NaN stays NaN. f64 and integers go through f32."""
    for target, numbers in blocks(out, x):
        bits, odd = temporaries(scratch, 2, U32, numbers.size)
        np.copyto(bits.view(F32), numbers, casting="unsafe")
        nan = np.isnan(bits.view(F32))  # a block of booleans
        np.right_shift(bits, 16, out=odd)
        np.bitwise_and(odd, 1, out=odd)
        np.add(odd, 0x7FFF, out=odd)
        np.add(bits, odd, out=bits)
        np.right_shift(bits, 16, out=bits)
        np.copyto(bits, 0x7FC0, where=nan)
        np.copyto(target, bits, casting="unsafe")
