"""One elementwise op on arrays, as calls without arguments: straight to NumPy where possible."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Array, Attrs

Call = Callable[[], Any]

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
    }
)
BF16 = np.dtype(np.uint16)


def elementwise_calls(
    op: str, out: Array, args: Sequence[Array], attrs: Attrs, scratch: Array
) -> list[Call]:
    """The calls that write an elementwise op's value into `out`, which `args` broadcast to."""
    if op in UFUNCS:
        return [partial(UFUNCS[op], *args, out=out)]
    if op == "where" and not _meet(out, args[1]) and not _meet(out, args[0]):
        return _where_calls(out, *args)
    if op in ("cast", "stop_gradient") and BF16 not in (out.dtype, args[0].dtype):
        return [partial(np.copyto, out, args[0], "unsafe")]
    return [kernel_call(op, (out,), tuple(args), attrs, scratch)]


def kernel_call(
    op: str, outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array
) -> Call:
    """The catalog's own kernel, bound to its arrays."""
    kernel = CATALOG[op].kernel
    if kernel is None:
        raise ValueError(f"{op} has no kernel")
    return partial(kernel, outs, ins, attrs, scratch)


def _where_calls(out: Array, condition: Array, a: Array, b: Array) -> list[Call]:
    choose: Call = partial(np.copyto, out, a, "same_kind", condition)
    return [choose] if _same(out, b) else [partial(np.copyto, out, b), choose]


def _meet(a: Array, b: Array) -> bool:
    return np.may_share_memory(a, b)


def _same(a: Array, b: Array) -> bool:
    return (a.ctypes.data, a.shape, a.strides) == (b.ctypes.data, b.shape, b.strides)
