"""Expression lines on whole arrays, each value an array of its own: plain, slow, and complete."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from flowc_runtime.blocking import row_attrs
from flowc_runtime.expression import ROW_OPS, Expression, Line, line_attrs, literal_dtype
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Array
from flowc_runtime.types import DTYPES, TensorType

_DTYPE_OF = {info.storage: name for name, info in DTYPES.items()}


def evaluate_lines(
    expression: Expression, operands: Mapping[str, Array]
) -> Iterator[tuple[Line, Array]]:
    """Each line with its value, by the catalog's kernels; `operands` are named `i0` and so on."""
    arrays = dict(operands)
    types = {name: _type(a) for name, a in arrays.items()}
    for line in expression.lines:
        args = [_argument(line, arg, arrays, types) for arg in line.args]
        value = _value(line, args)
        arrays[line.name], types[line.name] = value, _type(value)
        yield line, value


def _value(line: Line, args: Sequence[Array]) -> Array:
    operands = tuple(map(_type, args))
    row = line.op in ROW_OPS
    op = CATALOG[ROW_OPS.get(line.op, line.op)]
    attrs = row_attrs(operands[0]) if row else line_attrs(line)
    (result,) = op.infer(operands, attrs)
    out = np.empty(result.sizes, result.storage)
    scratch = np.empty(op.scratch_bytes(operands, (result,), attrs), np.uint8)
    assert op.kernel is not None
    with np.errstate(all="ignore"):
        op.kernel((out,), tuple(args), attrs, scratch)
    return out


def _argument(
    line: Line,
    arg: str | int | float | bool,
    arrays: Mapping[str, Array],
    types: Mapping[str, TensorType],
) -> Array:
    if isinstance(arg, str):
        return arrays[arg]
    return np.array(arg, DTYPES[literal_dtype(line, types)].storage)


def _type(array: Array) -> TensorType:
    return TensorType(_DTYPE_OF[array.dtype], array.shape)
