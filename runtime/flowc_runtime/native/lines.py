"""What an expression line is in machine code: one value for each op, for any number of lanes.

An op that is not here keeps its whole kernel with NumPy. Arithmetic is done as NumPy does it, bit
for bit: nothing is contracted or reordered. Functions are approximated in `functions.py`, within
4 units in the last place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from flowc_runtime.native import functions
from flowc_runtime.native.lanes import Lanes, Value
from flowc_runtime.types import DTYPES

Emit = Callable[[Lanes, Sequence[Value], str], Value]  # given the dtype of the first operand

F32, NUMBERS = ("f32",), ("f32", "f64", "i32", "i64")
FLOATS, ALL = ("f32", "f64"), ("f32", "f64", "i32", "i64", "i8", "u8", "bool")


@dataclass(frozen=True)
class NativeLine:
    """`emit` makes the value from those of the operands, whose dtypes must be among `dtypes`.
    An element takes about so many nanoseconds."""

    emit: Emit
    dtypes: tuple[str, ...]
    nanoseconds: float = 0.05


def kind_of(dtype: str) -> str:
    return DTYPES[dtype].kind


def _arithmetic(of_floats: str, of_integers: str) -> NativeLine:
    def emit(lanes: Lanes, args: Sequence[Value], dtype: str) -> Value:
        name = of_floats if kind_of(dtype) == "float" else of_integers
        return getattr(lanes.b, name)(*args)

    return NativeLine(emit, NUMBERS)


def _comparison(sign: str) -> NativeLine:
    def emit(lanes: Lanes, args: Sequence[Value], dtype: str) -> Value:
        if kind_of(dtype) != "float":
            signed = dtype not in ("u8", "bool")
            compare = lanes.b.icmp_signed if signed else lanes.b.icmp_unsigned
            return compare(sign, *args)
        if sign == "!=":
            return lanes.b.fcmp_unordered(sign, *args)  # NaN differs from everything
        return lanes.b.fcmp_ordered(sign, *args)

    return NativeLine(emit, ALL)


def _choice(sign: str) -> NativeLine:
    """The first where it is larger (or smaller) or NaN, else the second."""

    def emit(lanes: Lanes, args: Sequence[Value], dtype: str) -> Value:
        a, b = args
        if kind_of(dtype) != "float":
            return lanes.b.select(lanes.b.icmp_signed(sign, a, b), a, b)
        first = lanes.b.or_(lanes.b.fcmp_ordered(sign, a, b), lanes.b.fcmp_unordered("uno", a, a))
        return lanes.b.select(first, a, b)

    return NativeLine(emit, NUMBERS)


def _logic(name: str) -> NativeLine:
    return NativeLine(lambda lanes, args, _: getattr(lanes.b, name)(*args), ("bool",))


def _function(name: str, nanoseconds: float = 0.1) -> NativeLine:
    """A function that processors have, or else the C library, which NumPy asks as well."""
    return NativeLine(
        lambda lanes, args, dtype: lanes.call(name, dtype, *args), FLOATS, nanoseconds)


def _approximated(function: Callable[[Lanes, Value], Value]) -> NativeLine:
    return NativeLine(lambda lanes, args, _: function(lanes, args[0]), F32, 0.5)


def _negative(lanes: Lanes, args: Sequence[Value], dtype: str) -> Value:
    return lanes.b.fneg(args[0]) if kind_of(dtype) == "float" else lanes.b.neg(args[0])


def _power(lanes: Lanes, args: Sequence[Value], dtype: str) -> Value:
    """As the C library has it; for the number 0.5 the root, as NumPy has it: that of -inf is NaN,
    and that of -0.0 itself."""
    base, exponent = args
    if exponent == lanes.number(dtype, 0.5):
        return lanes.call("llvm.sqrt", dtype, base)
    return lanes.call("llvm.pow", dtype, base, exponent)


def _where(lanes: Lanes, args: Sequence[Value], dtype: str) -> Value:
    return lanes.b.select(*args)


def _sign(lanes: Lanes, args: Sequence[Value], dtype: str) -> Value:
    """1, 0 or -1, and NaN for NaN."""
    (x,) = args
    zero, one = lanes.number("f32", 0.0), lanes.number("f32", 1.0)
    positive = lanes.b.select(lanes.b.fcmp_ordered(">", x, zero), one, zero)
    signed = lanes.b.select(lanes.b.fcmp_ordered("<", x, zero), lanes.number("f32", -1.0), positive)
    return lanes.b.select(lanes.b.fcmp_unordered("uno", x, x), x, signed)


def _not(lanes: Lanes, args: Sequence[Value], dtype: str) -> Value:
    return lanes.b.not_(args[0])


def _itself(lanes: Lanes, args: Sequence[Value], dtype: str) -> Value:
    return args[0]


def cast(lanes: Lanes, x: Value, source: str, target: str) -> Value | None:
    """The value in another dtype; None where that is left to NumPy."""
    kinds = kind_of(source), kind_of(target)
    wanted = lanes.type(target)
    match kinds:
        case _ if source == target:
            return x
        case ("bool" | "int"), "float":
            unsigned = source in ("bool", "u8")
            return (lanes.b.uitofp if unsigned else lanes.b.sitofp)(x, wanted)
        case "bool", "int":
            return lanes.b.zext(x, wanted)
        case "float", "float":
            wider = DTYPES[target].bytes > DTYPES[source].bytes
            return (lanes.b.fpext if wider else lanes.b.fptrunc)(x, wanted)
        case "float", "bool":
            return lanes.b.fcmp_unordered("!=", x, lanes.number(source, 0.0))
        case "int", "bool":
            return lanes.b.icmp_unsigned("!=", x, lanes.number(source, 0))
        case _:
            return None  # what is out of range has a meaning of NumPy's own


LINES: Mapping[str, NativeLine] = MappingProxyType(
    {
        "add": _arithmetic("fadd", "add"),
        "sub": _arithmetic("fsub", "sub"),
        "mul": _arithmetic("fmul", "mul"),
        "div": NativeLine(lambda lanes, args, _: lanes.b.fdiv(*args), FLOATS),
        "neg": NativeLine(_negative, NUMBERS),
        "maximum": _choice(">"),
        "minimum": _choice("<"),
        "equal": _comparison("=="),
        "not_equal": _comparison("!="),
        "less": _comparison("<"),
        "less_equal": _comparison("<="),
        "greater": _comparison(">"),
        "greater_equal": _comparison(">="),
        "logical_and": _logic("and_"),
        "logical_or": _logic("or_"),
        "logical_not": NativeLine(_not, ("bool",)),
        "where": NativeLine(_where, ALL),
        "sign": NativeLine(_sign, F32),
        "abs": _function("llvm.fabs"),
        "sqrt": _function("llvm.sqrt"),
        "floor": _function("llvm.floor"),
        "ceil": _function("llvm.ceil"),
        "round": _function("llvm.rint"),
        "pow": NativeLine(_power, FLOATS, 10),
        "sin": _function("llvm.sin", 10),
        "cos": _function("llvm.cos", 10),
        "exp": _approximated(functions.exp),
        "log": _approximated(functions.log),
        "log1p": _approximated(functions.log1p),
        "tanh": _approximated(functions.tanh),
        "stop_gradient": NativeLine(_itself, ALL),
    }
)
