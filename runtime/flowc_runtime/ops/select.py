"""Elementwise ops that choose, convert or pass on values: where, cast, stop_gradient."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from flowc_runtime.ops.bf16 import BF16_BLOCKS, from_bf16, to_bf16
from flowc_runtime.ops.blocks import BLOCK_BYTES, BLOCK_ELEMENTS, blocks, temporaries
from flowc_runtime.ops.cost import moves_only
from flowc_runtime.ops.cotangents import no_flow, scalar, sum_to
from flowc_runtime.ops.elementwise import is_constant, single
from flowc_runtime.ops.op import Array, Attr, Attrs, Emit, Forward, Op, Reject, Sample, Types
from flowc_runtime.ops.rules import COMPUTED, broadcast_operands, need_dtype, same_dtype
from flowc_runtime.types import DTYPES, TensorType


def _where_infer(types: Types, attrs: Attrs) -> Types:
    need_dtype(types[:1], ("bool",))
    need_dtype(types[1:], COMPUTED, first=1)
    return (TensorType(same_dtype(types[1:], first=1), broadcast_operands(types)),)


def _where(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    """Chooses by arithmetic on the bits, ten times as fast as NumPy's masked copies."""
    bits = np.dtype(f"i{outs[0].itemsize}")
    out, condition, a, b = outs[0].view(bits), ins[0], ins[1].view(bits), ins[2].view(bits)
    if is_constant(b) and not b.item(0):
        np.multiply(a, condition, out=out)
    elif out.size <= BLOCK_ELEMENTS:
        free = temporaries(scratch, 1, bits, out.size)[0]
        _choose(out, condition, a, b, free.reshape(out.shape))
    else:
        for part, holds, x, y in blocks(out, condition, a, b):
            _choose(part, holds, x, y, temporaries(scratch, 1, bits, part.size)[0])


def _choose(out: Array, condition: Array, a: Array, b: Array, free: Array) -> None:
    """`b` with those bits flipped in which `a` differs, where the condition holds (is 1)."""
    np.bitwise_xor(a, b, out=free)
    np.multiply(free, condition, out=free)
    np.bitwise_xor(free, b, out=out)


def _where_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return min(BLOCK_ELEMENTS, prod(results[0].sizes)) * 8


def _where_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any | None, ...]:
    condition, a, b = forward.operands
    zero = scalar(emit, 0.0, g)
    by_a = emit("where", condition, g, zero)
    by_b = emit("where", condition, zero, g)
    return None, sum_to(emit, by_a, a.type), sum_to(emit, by_b, b.type)


WHERE = Op(
    "where",
    "`a` where the condition holds, and `b` elsewhere. No gradient flows into what was not "
    "chosen, even if that is NaN.",
    operands=("condition", "a", "b"),
    infer=_where_infer,
    kernel=_where,
    gradient=single(_where_rule),
    elementwise=True,
    in_place=(1, 2),
    scratch_bytes=_where_scratch,
    samples=(
        Sample(("bool[3, 5]", "f32[3, 5]", "f32[3, 5]")),
        Sample(("bool[3, 1]", "f32[]", "f32[2, 1, 7]")),
        Sample(("bool[4]", "i32[3, 4]", "i32[1]"), low=-5, high=5),
        Sample(("bool[500, 400]", "f32[500, 400]", "f32[]")),
        Sample(("bool[3, 5]", "f32[3, 5]", "f32[]"), values={2: 0.0}),
    ),
)


def _cast_infer(types: Types, attrs: Attrs) -> Types:
    if attrs["dtype"] not in DTYPES:
        raise Reject(f"cannot become `{attrs['dtype']}`: the dtypes are {', '.join(DTYPES)}", 0)
    return (TensorType(attrs["dtype"], types[0].shape),)


def _cast(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    """A `uint16` is always bf16: the language has no such integer."""
    out, x = outs[0], ins[0]
    if out.dtype == x.dtype:
        np.copyto(out, x)
    elif x.dtype == np.uint16:
        from_bf16(out, x, scratch)
    elif out.dtype == np.uint16:
        to_bf16(out, x, scratch)
    else:
        np.copyto(out, x, casting="unsafe")


def _cast_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return BF16_BLOCKS * BLOCK_BYTES if "bf16" in (types[0].dtype, results[0].dtype) else 0


def _cast_rule(emit: Emit, forward: Forward, g: Any) -> tuple[Any | None, ...]:
    x = forward.operands[0].type
    return (emit("cast", g, dtype=x.dtype) if x.kind == "float" else None,)


CAST = Op(
    "cast",
    "The same numbers in another dtype. Floats become integers by dropping the fraction (what "
    "does not fit is undefined), integers wrap around, anything but 0 is true; bf16 rounds to "
    "nearest, ties to even. The gradient is cast back.",
    operands=("x",),
    infer=_cast_infer,
    kernel=_cast,
    gradient=single(_cast_rule),
    attrs=(Attr("dtype", "the dtype to convert to"),),
    elementwise=True,
    scratch_bytes=_cast_scratch,
    samples=(
        Sample(("f32[3, 5]",), {"dtype": "f64"}),
        Sample(("f32[]",), {"dtype": "f16"}),
        Sample(("f32[2, 1, 7]",), {"dtype": "i32"}, low=-9.0, high=9.0),
        Sample(("i32[3, 5]",), {"dtype": "f32"}, low=-9, high=9),
        Sample(("bool[4]",), {"dtype": "f32"}),
        Sample(("f32[500, 400]",), {"dtype": "bf16"}),
        Sample(("bf16[3, 5]",), {"dtype": "f32"}),
        Sample(("i64[5]",), {"dtype": "bf16"}, low=-9, high=9),
        Sample(("f32[4]",), {"dtype": "bool"}),
    ),
)


def _same_infer(types: Types, attrs: Attrs) -> Types:
    return (types[0],)


def _copy(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
    np.copyto(outs[0], ins[0])


STOP_GRADIENT = Op(
    "stop_gradient",
    "`x` itself, through which no gradient flows.",
    operands=("x",),
    infer=_same_infer,
    kernel=_copy,
    gradient=no_flow,
    elementwise=True,
    in_place=(0,),
    cost=moves_only,
    samples=(Sample(("f32[300, 500]",)), Sample(("i32[]",), low=-5, high=5)),
)

OPS = (WHERE, CAST, STOP_GRADIENT)
