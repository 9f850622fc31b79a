"""Expression kernels in NumPy: line by line over blocks that stay in the cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from math import prod

import numpy as np

from flowc_runtime.blocking import Blocking, Dims, blocking
from flowc_runtime.expression import (
    ROW_OPS,
    Arg,
    Expression,
    Line,
    line_attrs,
    literal_dtype,
    parse_expression,
)
from flowc_runtime.numpy_device.calls import (
    SLOW_WITH_ONE_NUMBER,
    elementwise_calls,
    kernel_calls,
)
from flowc_runtime.numpy_device.choose import Call
from flowc_runtime.numpy_device.reuse import early_places
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Buffer, Instruction
from flowc_runtime.types import DTYPES

MAX_PREPARED_CALLS = 8_192  # of one kernel; above it the calls are made anew in each run

_ROW_UFUNCS = {"row_sum": np.add, "row_max": np.maximum, "row_min": np.minimum}

Slices = tuple[slice, ...]


def fused_calls(
    instruction: Instruction,
    buffers: Sequence[Buffer],
    operands: Sequence[Array],
    results: Sequence[Array],
    scratch: Array,
) -> list[Call]:
    """The calls of a fused instruction, in order."""
    expression = parse_expression(instruction.attrs["lines"])
    types = tuple(buffers[k].type for k in instruction.operands)
    stored = tuple(buffers[k].type for k in instruction.results)
    walk = blocking(expression, types, stored, instruction.attrs["shape"])
    named = {f"i{k}": a for k, a in enumerate(operands)}
    named |= {f"o{k}": a for k, a in enumerate(results)}
    arrays = {name: a.reshape(walk.dims[name]) for name, a in named.items()}
    kernel = FusedKernel(expression, walk, arrays, scratch)
    if len(list(walk.blocks())) * len(expression.lines) <= MAX_PREPARED_CALLS:
        return list(kernel.calls())
    return [kernel.run]


class FusedKernel:
    """An expression over arrays in the merged axes; makes the calls of each block."""

    def __init__(
        self, expression: Expression, walk: Blocking, arrays: Mapping[str, Array], scratch: Array
    ):
        self.expression = expression
        self.walk = walk
        self.arrays = arrays
        self.scratch = scratch
        self.kernel_scratch = scratch[walk.kernel_scratch : walk.scratch_bytes]
        self.places = early_places(expression, walk, arrays)
        self._filled: dict[tuple[str, float, Dims], Array] = {}

    def run(self) -> None:
        for call in self.calls():
            call()

    def calls(self) -> Iterator[Call]:
        for block in self.walk.blocks():
            views = {name: a[self._part(name, block)] for name, a in self.arrays.items()}
            for line in self.expression.lines:
                yield from self._line(line, block, views)

    def _line(self, line: Line, block: Slices, views: dict[str, Array]) -> Iterator[Call]:
        size = self._size(self.walk.values[line.name], block)
        if line.name in self.places:
            views[line.name] = views[self.places[line.name]]
        elif line.name[0] == "t":
            views[line.name] = self._temporary(line.name, size)
        target = views[line.name]
        if not target.size:
            return
        out = target[tuple(slice(0, n) for n in size)]  # the whole, unless the result is wider
        if line.op in ROW_OPS:
            yield from self._row_calls(line, out, views[line.reads[0]])
        else:
            args = [self._argument(line, arg, views, size) for arg in line.args]
            yield from elementwise_calls(
                line.op, out, args, line_attrs(line), self.kernel_scratch
            )
        if out.shape != target.shape:
            yield partial(np.copyto, target, out)

    def _argument(self, line: Line, arg: Arg, views: Mapping[str, Array], size: Dims) -> Array:
        """A name's part in the block, or a number; single elements as arrays of rank 0.

        NumPy is slower with arrays of size 1 than with those of rank 0.
        """
        if isinstance(arg, str):
            return views[arg] if views[arg].size != 1 else views[arg].reshape(())
        dtype = literal_dtype(line, self.walk.types)
        number = np.array(arg, DTYPES[dtype].storage)
        number.flags.writeable = False
        if line.op not in SLOW_WITH_ONE_NUMBER:
            return number
        return self._filled.setdefault((dtype, arg, size), np.full(size, number))

    def _row_calls(self, line: Line, out: Array, row: Array) -> list[Call]:
        if out.dtype != np.float16:
            return [partial(_ROW_UFUNCS[line.op].reduce, row, -1, out.dtype, out, True)]
        attrs = {"axes": (row.ndim - 1,), "keep": True}
        return kernel_calls(ROW_OPS[line.op], (out,), (row,), attrs, self.kernel_scratch)

    def _temporary(self, name: str, size: Dims) -> Array:
        start = self.walk.slots[name]
        dtype = DTYPES[self.walk.types[name].dtype].storage
        return self.scratch[start : start + prod(size) * dtype.itemsize].view(dtype).reshape(size)

    def _part(self, name: str, block: Slices) -> Slices:
        """The part of an array that a block works on."""
        sides = zip(self.walk.dims[name], self.walk.shape, block, strict=True)
        return tuple(side if dim == whole else slice(0, dim) for dim, whole, side in sides)

    def _size(self, dims: Dims, block: Slices) -> Dims:
        sides = zip(dims, self.walk.shape, block, strict=True)
        return tuple(side.stop - side.start if dim == whole else dim for dim, whole, side in sides)

