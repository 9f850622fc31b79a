"""Linear algebra that is used once, to initialise parameters."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowc_runtime.ops.op import Array, Attrs, Cost, Op, Reject, Sample, Types, bytes_moved
from flowc_runtime.ops.rules import need_dtype


def _infer(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, ("f32", "f64"))
    (x,) = types
    if x.rank != 2:
        raise Reject(f"needs a matrix, but is {x}", 0)
    return types


def _orthogonalize(
    outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array
) -> None:
    """LAPACK's QR allocates its own memory; this runs once per parameter, and never in a step."""
    (x,), (out,) = ins, outs
    wide = x.shape[0] < x.shape[1]
    q, r = np.linalg.qr(x.T if wide else x)
    q *= np.where(np.diagonal(r) < 0, -1, 1).astype(q.dtype)
    np.copyto(out, q.T if wide else q)


def _cost(types: Types, results: Types, attrs: Attrs) -> Cost:
    """Householder QR and the product of the reflections, each about 2 * long * short^2."""
    short, long = sorted(types[0].sizes)
    return Cost(4 * long * short * short, bytes_moved(types, results))


orthogonalize = Op(
    name="orthogonalize",
    doc="""The orthonormal factor Q of the QR decomposition of the matrix `x` [n, m], for
orthogonal initialisation.

With n >= m the columns of the result are orthonormal; with n < m its rows are, and it is the
transposed factor of the transposed matrix. The diagonal of R is positive, which makes the result
unique, and uniformly distributed where the elements of `x` are independent normal values (Mezzadri,
2007). Allocates memory: it is meant for programs that run once. It has no derivative.""",
    operands=("x",),
    infer=_infer,
    kernel=_orthogonalize,
    cost=_cost,
    samples=(
        Sample(("f32[5, 3]",)),
        Sample(("f64[3, 4]",)),
        Sample(("f64[4, 4]",)),
        Sample(("f32[1, 6]",)),
    ),
)

OPS = (orthogonalize,)
