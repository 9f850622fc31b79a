"""Matrix products."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np

from flowc_runtime.dims import product
from flowc_runtime.ops.cotangents import sum_to
from flowc_runtime.ops.elementwise import single
from flowc_runtime.ops.op import (
    Array,
    Attr,
    Attrs,
    Call,
    Cost,
    Emit,
    Forward,
    Op,
    Reject,
    Sample,
    Types,
    bytes_moved,
    kernel_of,
)
from flowc_runtime.ops.rules import NUMBERS, broadcast_shapes, need_dtype, need_rank, same_dtype
from flowc_runtime.types import TensorType


def _infer(types: Types, attrs: Attrs) -> Types:
    need_dtype(types, NUMBERS)
    dtype = same_dtype(types)
    a, b = types
    need_rank(a, 2, 0)
    need_rank(b, 2, 1)
    *_, n, k = _turned(a, attrs["transpose_a"])
    *_, rows, m = _turned(b, attrs["transpose_b"])
    if k != rows:
        side = "columns" if attrs["transpose_b"] else "rows"
        raise Reject(f"needs {k} {side} to match {a}, but has {rows}: it is {b}", 1, 0)
    return (TensorType(dtype, (*broadcast_shapes(a.shape[:-2], b.shape[:-2]), n, m)),)


def _turned(type: TensorType, transpose: bool) -> tuple[Any, ...]:
    *batch, rows, columns = type.shape
    return (*batch, columns, rows) if transpose else type.shape


def _calls(
    outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array
) -> list[Call]:
    out, (a, b) = outs[0], ins
    if a.ndim > 2 and b.ndim == 2 and not attrs["transpose_a"]:
        # One large product is faster than one for each of a's matrices.
        a, out = a.reshape(-1, a.shape[-1]), out.reshape(-1, out.shape[-1])
    a = a.swapaxes(-1, -2) if attrs["transpose_a"] else a
    b = b.swapaxes(-1, -2) if attrs["transpose_b"] else b
    return [partial(np.matmul, a, b, out)]


def _rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any, ...]:
    a, b = forward.operands
    turn_a, turn_b = bool(forward.attrs["transpose_a"]), bool(forward.attrs["transpose_b"])
    if turn_a:
        by_a = emit("matmul", b, g, transpose_a=turn_b, transpose_b=True)
    else:
        by_a = emit("matmul", g, b, transpose_a=False, transpose_b=not turn_b)
    return sum_to(emit, by_a, a.type), _by_b(emit, a, b, g, turn_a, turn_b)


def _by_b(emit: Emit, a: Any, b: Any, g: Any, turn_a: bool, turn_b: bool) -> Any:
    if b.type.rank == 2 and not turn_a:
        # Shared by the whole batch: one product sums over it.
        a, g = _flat(emit, a), _flat(emit, g)
    if turn_b:
        by_b = emit("matmul", g, a, transpose_a=True, transpose_b=turn_a)
    else:
        by_b = emit("matmul", a, g, transpose_a=not turn_a, transpose_b=False)
    return sum_to(emit, by_b, b.type)


def _flat(emit: Emit, x: Any) -> Any:
    if x.type.rank == 2:
        return x
    shape = (product(x.type.shape[:-1]), x.type.shape[-1])
    return emit("reshape", x, shape=shape)


def _cost(types: Types, results: Types, attrs: Attrs) -> Cost:
    k = types[0].sizes[-2 if attrs["transpose_a"] else -1]
    return Cost(2 * k * prod(results[0].sizes), bytes_moved(types, results))


def _sample(a: str, b: str, turn_a: bool = False, turn_b: bool = False) -> Sample:
    return Sample((f"f32{a}", f"f32{b}"), {"transpose_a": turn_a, "transpose_b": turn_b})


MATMUL = Op(
    "matmul",
    "The matrix product over the last two axes: `c[n, m] = sum over k of a[n, k] * b[k, m]`. "
    "Axes before these are a batch of matrices, and broadcast.",
    operands=("a", "b"),
    infer=_infer,
    kernel=kernel_of(_calls),
    calls=_calls,
    gradient=single(_rule),
    attrs=(
        Attr("transpose_a", "whether `a` lies as [.., k, n]", default=False, required=False),
        Attr("transpose_b", "whether `b` lies as [.., m, k]", default=False, required=False),
    ),
    cost=_cost,
    samples=(
        _sample("[3, 4]", "[4, 5]"),
        _sample("[4, 3]", "[4, 5]", True),
        _sample("[3, 4]", "[5, 4]", False, True),
        _sample("[4, 3]", "[5, 4]", True, True),
        _sample("[2, 3, 4]", "[4, 5]"),
        _sample("[2, 3, 4]", "[5, 4]", False, True),
        _sample("[2, 4, 3]", "[4, 5]", True),
        _sample("[2, 1, 3, 4]", "[3, 4, 5]"),
        _sample("[3, 4]", "[2, 5, 4]", False, True),
        _sample("[2, 4, 3]", "[1, 5, 4]", True, True),
        _sample("[0, 4]", "[4, 5]"),
        _sample("[3, 0]", "[0, 5]"),
        _sample("[2, 300, 60]", "[60, 200]"),
    ),
)

OPS = (MATMUL,)
