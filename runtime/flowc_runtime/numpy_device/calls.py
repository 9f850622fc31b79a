"""One elementwise op on arrays, as calls without arguments: straight to NumPy where possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType

import numpy as np

from flowc_runtime.blocking import where_scratch_bytes
from flowc_runtime.numpy_device.choose import Call, where_calls
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Array, Attrs

# Ops whose kernel is one ufunc. Calling it directly saves the kernel's own overhead, which counts
# for small blocks; the catalog's kernel stays the specification.
UFUNCS: Mapping[str, np.ufunc] = MappingProxyType(
    {
        "neg": np.negative,
        "abs": np.absolute,
        "sign": np.sign,
        "exp": np.exp,
        "expm1": np.expm1,
        "log": np.log,
        "log1p": np.log1p,
        "sqrt": np.sqrt,
        "sin": np.sin,
        "cos": np.cos,
        "tanh": np.tanh,
        "floor": np.floor,
        "ceil": np.ceil,
        "round": np.rint,
        "is_finite": np.isfinite,
        "logical_not": np.logical_not,
        "add": np.add,
        "sub": np.subtract,
        "mul": np.multiply,
        "div": np.divide,
        "atan2": np.arctan2,
        "maximum": np.maximum,
        "minimum": np.minimum,
        "equal": np.equal,
        "not_equal": np.not_equal,
        "less": np.less,
        "less_equal": np.less_equal,
        "greater": np.greater,
        "greater_equal": np.greater_equal,
        "logical_and": np.logical_and,
        "logical_or": np.logical_or,
        "bit_and": np.bitwise_and,
        "bit_or": np.bitwise_or,
        "bit_xor": np.bitwise_xor,
    }
)
SLOW_WITH_ONE_NUMBER = ("maximum", "minimum")  # three times as slow as with a second array
BF16 = np.dtype(np.uint16)


def elementwise_calls(
    op: str, out: Array, args: Sequence[Array], attrs: Attrs, scratch: Array
) -> list[Call]:
    """The calls that write an elementwise op's value into `out`, which `args` broadcast to."""
    if op in UFUNCS:
        return [_ufunc_call(UFUNCS[op], out, args)]
    if op == "where" and scratch.size >= where_scratch_bytes(out.size, out.itemsize):
        return list(where_calls(out, args, scratch))
    if op in ("cast", "stop_gradient") and BF16 not in (out.dtype, args[0].dtype):
        return [partial(np.copyto, out, args[0], "unsafe")]
    return kernel_calls(op, (out,), tuple(args), attrs, scratch)


def kernel_calls(
    op: str, outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array
) -> list[Call]:
    """The catalog's own kernel, bound to its arrays."""
    if (calls := CATALOG[op].calls) is not None:
        return calls(outs, ins, attrs, scratch)
    kernel = CATALOG[op].kernel
    if kernel is None:
        raise ValueError(f"{op} has no kernel")
    return [partial(kernel, outs, ins, attrs, scratch)]


def _ufunc_call(ufunc: np.ufunc, out: Array, args: Sequence[Array]) -> Call:
    """A result given by position saves a third of a small call, but these two want its name."""
    if ufunc in (np.maximum, np.minimum):
        return partial(ufunc, *args, out=out)
    return partial(ufunc, *args, out)
