"""Products of matrices in tiles: the sides of a tile are read once into shared memory, and each
thread sums a few of its elements in registers.

A convolution is such a product too, whose sides are not stored as matrices: `convolution.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from flowc_runtime.cuda.kernel import Kernel, Launch, parameters_of
from flowc_runtime.cuda.text import TYPES, indented, offset, positions
from flowc_runtime.plan import Buffer, Instruction

SIDE = 16  # threads along each side of a tile, and how much of what is summed over at a time
MOST_EACH = 4  # elements of a thread along each side
ENOUGH_BLOCKS = 128  # about the multiprocessors of a large GPU
FUSED = {"f32": "fmaf", "f64": "fma"}  # products are added with one rounding


@dataclass(frozen=True, slots=True)
class Side:
    """A factor's element at row (or column) `x`, and at `k` of what is summed over: `lines` come
    before it. `along_k` says whether neighbours along k are neighbours in memory."""

    element: str
    along_k: bool
    lines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """A `batch` of matrices [rows, columns], each the sum over `depth`. `place` is where element
    `x` of row `y` goes; like the sides it may use the `matrix`, and `b0`, `b1` and so on, which are
    its positions in the batch."""

    dtype: str
    batch: tuple[int, ...]
    rows: int
    columns: int
    depth: int
    left: Side
    right: Side
    place: str

    @property
    def each(self) -> int:
        """Elements of a thread along each side: many if there are still blocks for all."""
        each = MOST_EACH
        while each > 1 and self._blocks(each) < ENOUGH_BLOCKS:
            each //= 2
        return each

    @property
    def blocks(self) -> int:
        return self._blocks(self.each)

    def _blocks(self, each: int) -> int:
        tile = SIDE * each
        return prod(self.batch) * -(-self.rows // tile) * -(-self.columns // tile)

    def launch(self, operands: Sequence[Buffer], result: Buffer) -> Launch:
        kernel = Kernel(parameters_of(operands, [result]), tuple(self._lines()), SIDE * SIDE)
        return Launch(kernel, (*operands, result), self.blocks)

    def _lines(self) -> Iterator[str]:
        tile, type = SIDE * self.each, TYPES[self.dtype]
        across, down = -(-self.columns // tile), -(-self.rows // tile)
        yield f"__shared__ {type} left[{SIDE}][{tile + 1}], right[{SIDE}][{tile + 1}];"
        yield f"const int column = blockIdx.x % {across}u * {tile};"
        yield f"const int row = blockIdx.x / {across}u % {down}u * {tile};"
        yield f"const unsigned matrix = blockIdx.x / {across * down}u;"
        yield from positions("b", "matrix", self.batch)
        yield f"const int tx = threadIdx.x % {SIDE}u, ty = threadIdx.x / {SIDE}u;"
        yield f"{type} sums[{self.each}][{self.each}] = {{}};"
        yield f"for (int from = 0; from < {self.depth}; from += {SIDE}) {{"
        yield from indented(list(self._fetch("left", self.left, "row", self.rows)))
        yield from indented(list(self._fetch("right", self.right, "column", self.columns)))
        yield "    __syncthreads();"
        yield from indented(list(self._add()))
        yield "    __syncthreads();"
        yield "}"
        yield from self._store()

    def _fetch(self, name: str, side: Side, first: str, end: int) -> Iterator[str]:
        """Part of a side into shared memory; beyond its ends are zeros."""
        tile = SIDE * self.each
        yield "#pragma unroll"
        yield f"for (int n = threadIdx.x; n < {SIDE * tile}; n += {SIDE * SIDE}) {{"
        if side.along_k:
            yield f"    const int at = n / {SIDE}, depth = n % {SIDE};"
        else:
            yield f"    const int at = n % {tile}, depth = n / {tile};"
        yield f"    const int x = {first} + at, k = from + depth;"
        yield f"    {TYPES[self.dtype]} value = 0;"
        yield f"    if (x < {end} && k < {self.depth}) {{"
        yield from indented(indented(side.lines))
        yield f"        value = {side.element};"
        yield "    }"
        yield f"    {name}[depth][at] = value;"
        yield "}"

    def _add(self) -> Iterator[str]:
        each, fused = self.each, FUSED[self.dtype]
        yield "#pragma unroll"
        yield f"for (int k = 0; k < {SIDE}; ++k)"
        yield f"    for (int r = 0; r < {each}; ++r)"
        yield f"        for (int c = 0; c < {each}; ++c)"
        yield (f"            sums[r][c] = {fused}(left[k][ty + r * {SIDE}], "
               f"right[k][tx + c * {SIDE}], sums[r][c]);")  # fmt: skip

    def _store(self) -> Iterator[str]:
        yield "#pragma unroll"
        yield f"for (int r = 0; r < {self.each}; ++r)"
        yield "    #pragma unroll"
        yield f"    for (int c = 0; c < {self.each}; ++c) {{"
        yield f"        const int y = row + ty + r * {SIDE}, x = column + tx + c * {SIDE};"
        yield f"        if (y < {self.rows} && x < {self.columns})"
        yield f"            O0[{self.place}] = sums[r][c];"
        yield "    }"


def matmul_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    a, b = (buffers[k] for k in instruction.operands)
    result = buffers[instruction.results[0]]
    if result.type.dtype not in FUSED:
        return None
    *batch, rows, columns = result.type.sizes
    turned = instruction.attrs["transpose_a"], instruction.attrs["transpose_b"]
    depth = a.type.sizes[-2 if turned[0] else -1]
    sides = (
        _matrix("I0", a, len(batch), not turned[0], rows if turned[0] else depth),
        _matrix("I1", b, len(batch), bool(turned[1]), depth if turned[1] else columns))
    place = f"(matrix * {rows} + y) * {columns} + x"
    product = Product(result.type.dtype, tuple(batch), rows, columns, depth, *sides, place)
    return (product.launch([a, b], result),)


def _matrix(name: str, buffer: Buffer, rank: int, along_k: bool, width: int) -> Side:
    """A stored matrix whose rows have a width; axes of size 1 in the batch are broadcast."""
    *batch, high, wide = buffer.type.sizes
    padded = (1,) * (rank - len(batch)) + tuple(batch)
    strides = [
        0 if size == 1 else prod(padded[axis + 1 :]) * high * wide
        for axis, size in enumerate(padded)
    ]
    inside = f"x * {width} + k" if along_k else f"k * {width} + x"
    return Side(f"{name}[{offset('b', strides, inside)}]", along_k)
