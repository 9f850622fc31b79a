"""What an expression line is in CUDA C: one value for each op.

An op that is not here keeps its whole instruction with NumPy. Arithmetic is done as NumPy does it,
bit for bit: nothing is contracted. Functions are those of CUDA, within a few units in the last
place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from flowc_runtime.cuda.text import TYPES

FLOATS, INTS = ("f32", "f64"), ("i64", "i32", "i8", "u8")
NUMBERS, ALL = (*FLOATS, *INTS), (*FLOATS, *INTS, "bool")


@dataclass(frozen=True, slots=True)
class CudaLine:
    """`text` has the arguments in braces; their dtypes (but for a condition) are in `dtypes`."""

    text: str
    dtypes: tuple[str, ...]


LINES: Mapping[str, CudaLine] = MappingProxyType(
    {
        "add": CudaLine("{0} + {1}", NUMBERS),
        "sub": CudaLine("{0} - {1}", NUMBERS),
        "mul": CudaLine("{0} * {1}", NUMBERS),
        "div": CudaLine("{0} / {1}", FLOATS),
        "neg": CudaLine("-{0}", NUMBERS),
        "maximum": CudaLine("{0} > {1} || {0} != {0} ? {0} : {1}", NUMBERS),
        "minimum": CudaLine("{0} < {1} || {0} != {0} ? {0} : {1}", NUMBERS),
        "equal": CudaLine("{0} == {1}", ALL),
        "not_equal": CudaLine("{0} != {1}", ALL),
        "less": CudaLine("{0} < {1}", ALL),
        "less_equal": CudaLine("{0} <= {1}", ALL),
        "greater": CudaLine("{0} > {1}", ALL),
        "greater_equal": CudaLine("{0} >= {1}", ALL),
        "logical_and": CudaLine("{0} && {1}", ("bool",)),
        "logical_or": CudaLine("{0} || {1}", ("bool",)),
        "logical_not": CudaLine("!{0}", ("bool",)),
        "bit_and": CudaLine("{0} & {1}", INTS),
        "bit_or": CudaLine("{0} | {1}", INTS),
        "bit_xor": CudaLine("{0} ^ {1}", INTS),
        "where": CudaLine("{0} ? {1} : {2}", ALL),
        "sign": CudaLine("{0} > 0 ? 1 : {0} < 0 ? -1 : {0} == 0 ? 0 : {0}", NUMBERS),
        "is_finite": CudaLine("{0} - {0} == 0", FLOATS),
        "abs": CudaLine("fabs({0})", FLOATS),
        "sqrt": CudaLine("sqrt({0})", FLOATS),
        "rsqrt": CudaLine("1 / sqrt({0})", FLOATS),
        "floor": CudaLine("floor({0})", FLOATS),
        "ceil": CudaLine("ceil({0})", FLOATS),
        "round": CudaLine("rint({0})", FLOATS),
        "pow": CudaLine("pow({0}, {1})", FLOATS),
        "atan2": CudaLine("atan2({0}, {1})", FLOATS),
        "sin": CudaLine("sin({0})", FLOATS),
        "cos": CudaLine("cos({0})", FLOATS),
        "exp": CudaLine("exp({0})", FLOATS),
        "expm1": CudaLine("expm1({0})", FLOATS),
        "log": CudaLine("log({0})", FLOATS),
        "log1p": CudaLine("log1p({0})", FLOATS),
        "tanh": CudaLine("tanh({0})", FLOATS),
        "erf": CudaLine("erf({0})", FLOATS),
        "stop_gradient": CudaLine("{0}", ALL),
        "cast": CudaLine("{0}", ALL),
    }
)


def value_text(op: str, args: Sequence[str], dtype: str) -> str:
    """The value of a line whose result has the dtype; what is not 0 is true."""
    if op == "cast" and dtype == "bool":
        return f"{args[0]} != 0"
    if op == "cast":
        return f"({TYPES[dtype]}){args[0]}"
    return LINES[op].text.format(*args)
