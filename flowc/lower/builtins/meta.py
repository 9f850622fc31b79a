"""Functions that answer while compiling: shapes, sizes, dtypes, and tensors filled by shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.arithmetic import to_tensor
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.limits import small_number
from flowc.lower.values import POISON, Arg, dims_of, is_dtype, is_number
from flowc.source import Span
from flowc_runtime.dims import Dim

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer


def _shape(lw: Lowerer, span: Span, x: Arg) -> Any:
    return list(x.value.type.shape) if ask.tensor(lw, "shape", x) else POISON


def _rank(lw: Lowerer, span: Span, x: Arg) -> Any:
    if isinstance(x.value, list):
        return len(x.value)
    return x.value.type.rank if ask.tensor(lw, "rank", x) else POISON


def _dtype(lw: Lowerer, span: Span, x: Arg) -> Any:
    return x.value.type.dtype if ask.tensor(lw, "dtype", x) else POISON


def _is_number(lw: Lowerer, span: Span, x: Arg) -> Any:
    return is_number(x.value)


def _product(lw: Lowerer, span: Span, sizes: Arg) -> Any:
    dims = dims_of(sizes.value)
    total: Dim = 1
    if dims is None:
        lw.report(errors.wants("product", "a list of dimensions", sizes))
        return POISON
    for dim in dims:
        total = total * dim
        if not small_number(total):
            lw.report(errors.out_of_range("product", span, sizes))
            return POISON
    return total


def _fill(lw: Lowerer, span: Span, shape: Arg, value: Arg, dtype: Arg) -> Any:
    dims = ask.shape(lw, "fill", shape)
    if dims is None:
        return POISON
    if not is_dtype(dtype.value):
        lw.report(errors.wants("fill", "a dtype", dtype))
        return POISON
    scalar = to_tensor(lw, value, dtype.value)
    if scalar.value is POISON or not dims:
        return scalar.value
    return lw.emit("broadcast", [scalar], span, shape=dims)


def _like(number: int) -> Any:
    def run(lw: Lowerer, span: Span, x: Arg) -> Any:
        if not ask.tensor(lw, "zeros_like" if number == 0 else "ones_like", x):
            return POISON
        type_ = x.value.type
        value: int | bool = bool(number) if type_.kind == "bool" else number
        return _fill(lw, span, Arg(list(type_.shape), span), Arg(value, span),
                     Arg(type_.dtype, span))

    return run




FUNCTIONS = (
    builtin("shape", "the dimensions of a tensor, as a list", _shape, "x"),
    builtin("rank", "how many dimensions a tensor has", _rank, "x"),
    builtin("dtype", "the dtype of a tensor", _dtype, "x"),
    builtin("is_number", "whether x is a number known while compiling", _is_number, "x"),
    builtin("product", "the product of a list of dimensions", _product, "sizes"),
    builtin("fill", "a tensor of a shape, every element the same", _fill,
            "shape", "value", ("dtype", "f32")),
    builtin("zeros_like", "zeros of the type of x", _like(0), "x"),
    builtin("ones_like", "ones of the type of x", _like(1), "x"),
)
