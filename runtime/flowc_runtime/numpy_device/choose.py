"""`where` by bits: ten times as fast as a masked copy when the condition changes often."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from flowc_runtime.ops.op import Array

Call = Callable[[], Any]

_INTEGERS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


def where_calls(out: Array, args: Sequence[Array], scratch: Array) -> Iterator[Call]:
    """Writes `a` where the condition holds and `b` elsewhere, as `b ^ ((a ^ b) & mask)`.

    The number 0 as a choice saves two of the steps. The result may lie in `a` or `b`. `scratch`
    has `where_scratch_bytes`.
    """
    integer = _INTEGERS[out.itemsize]
    condition, a, b = args[0].view(np.int8), args[1].view(integer), args[2].view(integer)
    result = out.view(integer)
    bytes = condition.size * out.itemsize
    mask = scratch[:bytes].view(integer).reshape(condition.shape)
    if _is_zero(a):
        yield partial(np.subtract, condition, np.int8(1), mask)  # all ones where it does not hold
        yield partial(np.bitwise_and, b, mask, result)
        return
    yield partial(np.negative, condition, mask)  # all ones where it holds
    if _is_zero(b):
        yield partial(np.bitwise_and, a, mask, result)
        return
    end = bytes + out.nbytes
    differ = scratch[bytes:end].view(integer).reshape(out.shape)
    yield partial(np.bitwise_xor, a, b, differ)
    yield partial(np.bitwise_and, differ, mask, differ)
    yield partial(np.bitwise_xor, b, differ, result)


def _is_zero(bits: Array) -> bool:
    """Whether it is a number in the line, and 0 (the bits of -0.0 differ).

    Numbers come as read-only arrays; what a tensor holds now says nothing about the next run.
    """
    return bits.ndim == 0 and not bits.flags.writeable and not bits
