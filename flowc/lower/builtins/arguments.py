"""What built-in functions ask of their arguments; each answers None (or POISON) after reporting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.limits import MAX_RANK
from flowc.lower.values import REQUIRED, Arg, Builtin, BuiltinParameter, Run, Tensor, dims_of
from flowc_runtime.dims import Dim, NamedSize, Poly, is_called
from flowc_runtime.types import TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer



def builtin(name: str, doc: str, run: Run, *parameters: Any, variadic: bool = False) -> Builtin:
    """A built-in function; a parameter is its name, or (name, default)."""
    made = tuple(
        BuiltinParameter(p, REQUIRED) if isinstance(p, str) else BuiltinParameter(p[0], p[1])
        for p in parameters
    )
    return Builtin(name, made, run, doc, variadic)


def tensor(lw: Lowerer, function: str, arg: Arg) -> bool:
    """Whether the argument is a tensor; reports it where not."""
    if isinstance(arg.value, Tensor):
        return True
    lw.report(errors.needs_tensor(function, arg))
    return False


def integer(lw: Lowerer, what: str, arg: Arg) -> int | None:
    if isinstance(arg.value, int) and not isinstance(arg.value, bool):
        return arg.value
    lw.report(errors.wants(what, "a whole number known while compiling", arg))
    return None


def truth(lw: Lowerer, what: str, arg: Arg) -> bool | None:
    if isinstance(arg.value, bool):
        return arg.value
    lw.report(errors.wants(what, "`true` or `false`", arg))
    return None


def shape(lw: Lowerer, what: str, arg: Arg) -> tuple[Dim, ...] | None:
    dims = dims_of(arg.value)
    if dims is None:
        lw.report(errors.wants(what, "a list of dimensions", arg))
    elif len(dims) > MAX_RANK:  # whose product may never end
        lw.report(errors.tensor_too_large(arg.span, TensorType("f32", dims)))
        return None
    return dims


def axis(lw: Lowerer, arg: Arg, of: Tensor, extra: int = 0) -> int | None:
    """One axis, by number from the front or (negative) the back, or by the dimension's name."""
    rank = of.type.rank + extra
    value = arg.value
    if isinstance(value, (NamedSize, Poly)):
        name = value.name if isinstance(value, NamedSize) else str(value)
        called = [i for i, dim in enumerate(of.type.shape) if is_called(dim, name)]
        if len(called) == 1:
            return called[0]
    if not isinstance(value, int) or isinstance(value, (bool, NamedSize)):
        lw.report(errors.no_axis(arg, of))
        return None
    if not -rank <= value < rank:
        lw.report(errors.axis_outside(arg, of, rank))
        return None
    return value % rank


def axes(lw: Lowerer, arg: Arg, of: Tensor) -> tuple[int, ...] | None:
    """`"all"`, `"..."` (all but the last), one axis, or a list of axes; sorted."""
    if arg.value == "all":
        return tuple(range(of.type.rank))
    if arg.value == "...":
        return tuple(range(of.type.rank - 1))
    if isinstance(arg.value, str):
        lw.report(errors.no_axis(arg, of))
        return None
    items = arg.value if isinstance(arg.value, (list, tuple)) else [arg.value]
    found = [axis(lw, Arg(item, arg.span), of) for item in items]
    if None in found:
        return None
    if len(set(found)) != len(found):
        lw.report(errors.axis_twice(arg))
        return None
    return tuple(sorted(a for a in found if a is not None))


def counts(
    lw: Lowerer, what: str, arg: Arg, length: int, least: int = 1
) -> tuple[int, ...] | None:
    """A whole number for each of `length` axes: one for all of them, or a list."""
    value = arg.value
    items = [value] * length if isinstance(value, int) else value
    good = isinstance(items, (list, tuple)) and len(items) == length and all(
        isinstance(i, int) and not isinstance(i, bool) and i >= least for i in items)
    if good:
        return tuple(int(i) for i in items)
    kind = "positive whole number" if least else "whole number from 0 up"
    also = f", or a list of {('two', 'three')[length - 2]}" if length > 1 else ""
    lw.report(errors.wants(what, f"a {kind}{also}", arg))
    return None
