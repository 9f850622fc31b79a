"""Reductions: over lanes that hold parts of a row, and over any axes of a tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from flowc_runtime.cuda.kernel import Kernel, Launch, parameters_of
from flowc_runtime.cuda.lines import value_text
from flowc_runtime.cuda.text import TYPES, indented, number, offset, positions
from flowc_runtime.expression import ROW_COMBINES, ROW_NAMES, row_identity
from flowc_runtime.plan import Buffer, Instruction

WARP = 32
LONG_ROW = 1024  # elements from which on a row has a block
BLOCK_LANES = 256
SUMMED = ("f32", "f64", "i32", "i64")


@dataclass(frozen=True, slots=True)
class Over:
    """How lanes reduce what each of them holds: the `function` that does it and its `helper`
    text, what to begin with, and how one more number is `added` to {0}."""

    function: str
    helper: str
    start: str
    added: str


def lanes_for(length: int) -> int:
    """How many lanes share a row: a power of two."""
    if length > LONG_ROW:
        return BLOCK_LANES
    return min(WARP, 1 << (length - 1).bit_length())


def reduces(dtype: str) -> bool:
    return dtype in SUMMED


def over_lanes(op: str, dtype: str, lanes: int) -> Over:
    """Of a row op. Every lane is given the result, whatever the others did before."""
    name, type = f"{op}_{dtype}_{lanes}", TYPES[dtype]
    body = [
        f"for (int apart = {min(lanes, WARP) // 2}; apart; apart /= 2) {{",
        f"    const {type} other = __shfl_xor_sync(0xffffffffu, value, apart);",
        f"    {_combined(op, dtype, 'value', 'other')}",
        "}",
    ]
    if lanes > WARP:
        body += _over_warps(op, dtype, lanes // WARP)
    head = f"__device__ {type} {name}({type} value)"
    helper = "\n".join([head, "{", *indented([*body, "return value;"]), "}"])
    return Over(name, helper, _identity(op, dtype), _combined(op, dtype, "{0}", "{1}"))


def _over_warps(op: str, dtype: str, warps: int) -> list[str]:
    return [
        f"__shared__ {TYPES[dtype]} parts[{warps}];",
        "__syncthreads();  // the parts of the reduction before have been read",
        f"if (threadIdx.x % {WARP} == 0) parts[threadIdx.x / {WARP}] = value;",
        "__syncthreads();",
        "value = parts[0];",
        f"for (int k = 1; k < {warps}; ++k) {{",
        f"    const {TYPES[dtype]} other = parts[k];",
        f"    {_combined(op, dtype, 'value', 'other')}",
        "}",
    ]


def _combined(op: str, dtype: str, value: str, other: str) -> str:
    return f"{value} = {value_text(ROW_COMBINES[op], [value, other], dtype)};"


def _identity(op: str, dtype: str) -> str:
    value = row_identity(op, dtype)
    lowest = dtype not in ("f32", "f64") and value < 0  # its absolute value is no literal
    return f"({TYPES[dtype]})({value + 1}LL - 1)" if lowest else number(dtype, value)


# --- over any axes -------------------------------------------------------------------------------


def reduce_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    """Threads side by side along what is kept, and above each other along what is reduced."""
    x, result = buffers[instruction.operands[0]], buffers[instruction.results[0]]
    if x.type.dtype != result.type.dtype or not reduces(x.type.dtype):
        return None
    axes, sizes = sorted(instruction.attrs["axes"]), x.type.sizes
    kept = [axis for axis in range(len(sizes)) if axis not in axes]
    reduction = _Reduction(
        ROW_NAMES[instruction.op], x.type.dtype, sizes, tuple(kept), tuple(axes))
    kernel = Kernel(parameters_of([x], [result]), reduction.lines(), BLOCK_LANES)
    blocks = -(-prod(sizes[a] for a in kept) // reduction.wide)
    return (Launch(kernel, (x, result), blocks),)


@dataclass(frozen=True, slots=True)
class _Reduction:
    op: str
    dtype: str
    sizes: tuple[int, ...]
    kept: tuple[int, ...]
    reduced: tuple[int, ...]

    @property
    def wide(self) -> int:
        """Results of a block: neighbours, so that a warp reads neighbours."""
        results = prod(self.sizes[a] for a in self.kept)
        return min(WARP, 1 << (results - 1).bit_length())

    def lines(self) -> tuple[str, ...]:
        wide, type = self.wide, TYPES[self.dtype]
        high = BLOCK_LANES // wide
        results = prod(self.sizes[a] for a in self.kept)
        added = _combined(self.op, self.dtype, "value", "other")
        return (
            f"const unsigned x = threadIdx.x % {wide}u, y = threadIdx.x / {wide}u;",
            f"const unsigned at = blockIdx.x * {wide}u + x;",
            f"{type} value = {_identity(self.op, self.dtype)};",
            f"if (at < {results}u) {{",
            *indented(list(positions("a", "at", [self.sizes[a] for a in self.kept]))),
            f"    const {type}* from = I0 + {offset('a', self._strides(self.kept))};",
            f"    for (unsigned n = y; n < {prod(self.sizes[a] for a in self.reduced)}u; "
            f"n += {high}u) {{",
            *indented(indented(list(positions("r", "n", [self.sizes[a] for a in self.reduced])))),
            f"        const {type} other = from[{offset('r', self._strides(self.reduced))}];",
            f"        {added}",
            "    }",
            "}",
            f"__shared__ {type} parts[{high}][{wide}];",
            "parts[y][x] = value;",
            f"for (unsigned half = {high // 2}; half; half /= 2) {{",
            "    __syncthreads();",
            "    if (y < half) {",
            f"        const {type} other = parts[y + half][x];",
            f"        {added}",
            "        parts[y][x] = value;",
            "    }",
            "}",
            f"if (y == 0 && at < {results}u) O0[at] = value;",
        )

    def _strides(self, axes: tuple[int, ...]) -> list[int]:
        return [prod(self.sizes[a + 1 :]) for a in axes]
