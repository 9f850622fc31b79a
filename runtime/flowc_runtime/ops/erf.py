"""The error function in NumPy: rational approximations, evaluated block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowc_runtime.ops.blocks import blocks, temporaries
from flowc_runtime.ops.op import Array, Attrs

F64 = np.dtype(np.float64)
ERF_BLOCKS = 4  # temporaries of BLOCK_BYTES that the kernel needs

# Good to 5e-8: x P(x*x) / Q(x*x) on [-LIMIT, LIMIT], outside of which erf is 1 in single precision.
# The coefficients are those of XLA (math.cc, Apache 2), highest power first.
LIMIT_SHORT = 3.85  # where the quotient is 1 to 1e-8
P_SHORT = (
    2.2905065861350646e-4, 3.4082910107109506e-3, 5.0955695062380861e-2, 1.8520832239976145e-1,
    1.128379143519084,
)  # fmt: skip
Q_SHORT = (
    -1.1791602954361697e-7, 2.3547966471313185e-5, 1.0179625278914885e-3, 1.4070470171167667e-2,
    1.1098505178285362e-1, 4.9746925110067538e-1, 1.0,
)  # fmt: skip

# Good to 4e-16: x T(x*x) / U(x*x) up to 1, and 1 - e**(-x*x) P(x) / Q(x) from there on.
# The coefficients are those of Cephes (ndtr.c, by S. Moshier), highest power first.
LIMIT_LONG = 6.0
T_LONG = (
    9.60497373987051638749e0, 9.00260197203842689217e1, 2.23200534594684319226e3,
    7.00332514112805075473e3, 5.55923013010394962768e4,
)  # fmt: skip
U_LONG = (
    1.0, 3.35617141647503099647e1, 5.21357949780152679795e2, 4.59432382970980127987e3,
    2.26290000613890934246e4, 4.92673942608635921086e4,
)  # fmt: skip
P_LONG = (
    2.46196981473530512524e-10, 5.64189564831068821977e-1, 7.46321056442269912687e0,
    4.86371970985681366614e1, 1.96520832956077098242e2, 5.26445194995477358631e2,
    9.34528527171957607540e2, 1.02755188689515710272e3, 5.57535335369399327526e2,
)  # fmt: skip
Q_LONG = (
    1.0, 1.32281951154744992508e1, 8.67072140885989742329e1, 3.54937778887819891062e2,
    9.75708501743205489753e2, 1.82390916687909736289e3, 2.24633760818710981792e3,
    1.65666309194161350182e3, 5.57535340817727675546e2,
)  # fmt: skip


def erf_kernel(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    """erf of every element. All is computed in f64: in f32, rounding alone would cost 4e-7."""
    block = _long if ins[0].dtype == np.float64 else _short
    for out, x in blocks(outs[0], ins[0], dtype=F64):
        block(out, x, temporaries(scratch, ERF_BLOCKS, F64, out.size))


def _short(out: Array, x: Array, free: list[Array]) -> None:
    clipped, square, divisor = free[:3]
    np.clip(x, -LIMIT_SHORT, LIMIT_SHORT, out=clipped)
    np.multiply(clipped, clipped, out=square)
    _polynomial(divisor, square, Q_SHORT)
    np.divide(clipped, divisor, out=clipped)
    _polynomial(divisor, square, P_SHORT)
    np.multiply(clipped, divisor, out=out)


def _long(out: Array, x: Array, free: list[Array]) -> None:
    size, square, tail, other = free
    np.clip(x, -LIMIT_LONG, LIMIT_LONG, out=other)
    np.absolute(other, out=size)
    _tail(tail, size, square)
    np.copysign(tail, other, out=tail)
    far = size > 1.0  # a block of booleans
    np.multiply(other, other, out=square)
    np.minimum(square, 1.0, out=square)  # keeps the unused values harmless
    _polynomial(size, square, T_LONG)
    np.multiply(other, size, out=other)
    _polynomial(size, square, U_LONG)
    np.divide(other, size, out=out)
    np.copyto(out, tail, where=far)


def _tail(out: Array, size: Array, free: Array) -> None:
    """`1 - e**(-size*size) P(size) / Q(size)`, good from 1 on."""
    _polynomial(out, size, P_LONG)
    _polynomial(free, size, Q_LONG)
    np.divide(out, free, out=out)
    np.multiply(size, size, out=free)
    np.negative(free, out=free)
    np.exp(free, out=free)
    np.multiply(out, free, out=out)
    np.subtract(1.0, out, out=out)


def _polynomial(out: Array, x: Array, coefficients: tuple[float, ...]) -> None:
    """Horner's scheme, highest power first."""
    np.multiply(x, coefficients[0], out=out)
    for coefficient in coefficients[1:-1]:
        np.add(out, coefficient, out=out)
        np.multiply(out, x, out=out)
    np.add(out, coefficients[-1], out=out)
