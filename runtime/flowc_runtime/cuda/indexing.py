"""Kernels that index with tensors, or make indices: a thread for each element that is written.

An index that is outside is noted in `refused`, and 0 is taken for it: what came of the step is
thrown away then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from math import prod

from flowc_runtime.cuda.kernel import Kernel, Launch, each_element, own_element, parameters_of
from flowc_runtime.cuda.text import TYPES, positions
from flowc_runtime.plan import Buffer, Instruction
from flowc_runtime.types import TensorType

REFUSED = Buffer("refused", 0, TensorType("i32"))  # not 0 once a kernel has met a bad index
Lines = Iterator[str]


def index_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    operands = [buffers[k] for k in instruction.operands]
    result = buffers[instruction.results[0]]
    if any(b.type.dtype not in TYPES for b in (*operands, result)):
        return None
    elements = prod(result.type.sizes)
    body = (
        *own_element(elements),
        *_BODIES[instruction.op](instruction, operands, result),
    )
    refuses = any("*refused" in line for line in body)
    parameters = parameters_of(operands, [result])
    places = (*operands, result)
    if refuses:
        parameters, places = (*parameters, ("refused", "i32")), (*places, REFUSED)
    return (Launch(Kernel(parameters, body), places, each_element(elements)),)


def _index(source: str, size: int) -> Lines:
    """`index` from a tensor of indices, below `size`."""
    yield f"long long index = {source};"
    yield f"if (index < 0 || index >= {size}) {{ *refused = 1; index = 0; }}"


def _gather(instruction: Instruction, operands: Sequence[Buffer], result: Buffer) -> Lines:
    table = operands[0].type.sizes
    columns = prod(table[1:])
    yield from _index(f"I1[at / {columns}u]", table[0])
    yield f"O0[at] = I0[index * {columns} + at % {columns}u];"


def _scatter_add(instruction: Instruction, operands: Sequence[Buffer], result: Buffer) -> Lines:
    """Each element looks for its own, so that they are added in order."""
    rows, *rest = result.type.sizes
    columns = prod(rest)
    yield f"{TYPES[result.type.dtype]} value = 0;"
    yield f"for (int n = 0; n < {prod(operands[0].type.sizes)}; ++n) {{"
    for line in _index("I0[n]", rows):
        yield f"    {line}"
    yield f"    if (index == at / {columns}u) value += I1[n * {columns} + at % {columns}u];"
    yield "}"
    yield "O0[at] = value;"


def _take_along(instruction: Instruction, operands: Sequence[Buffer], result: Buffer) -> Lines:
    size = operands[0].type.sizes[-1]
    yield from _index("I1[at]", size)
    yield f"O0[at] = I0[at * {size} + index];"


def _put_along(instruction: Instruction, operands: Sequence[Buffer], result: Buffer) -> Lines:
    size = result.type.sizes[-1]
    yield from _index(f"I0[at / {size}u]", size)
    yield f"O0[at] = index == at % {size}u ? I1[at / {size}u] : 0;"


def _extreme(instruction: Instruction, operands: Sequence[Buffer], result: Buffer) -> Lines:
    """The first at a tie; NaN counts as the extreme."""
    axis, sizes = instruction.attrs["axis"], operands[0].type.sizes
    inner, type = prod(sizes[axis + 1 :]), TYPES[operands[0].type.dtype]
    sign = ">" if instruction.op == "argmax" else "<"
    yield f"const {type}* from = I0 + at / {inner}u * {sizes[axis] * inner} + at % {inner}u;"
    yield f"{type} best = from[0];"
    yield "int found = 0;"
    yield f"for (int n = 1; n < {sizes[axis]}; ++n) {{"
    yield f"    const {type} value = from[n * {inner}];"
    yield f"    if (value {sign} best || (value != value && best == best)) {{"
    yield "        best = value;"
    yield "        found = n;"
    yield "    }"
    yield "}"
    yield "O0[at] = found;"


def _iota(instruction: Instruction, operands: Sequence[Buffer], result: Buffer) -> Lines:
    axis = instruction.attrs["axis"]
    yield list(positions("a", "at", result.type.sizes))[-1 - axis]
    yield f"O0[at] = ({TYPES[result.type.dtype]})a{axis};"


_BODIES: Mapping[str, Callable[[Instruction, Sequence[Buffer], Buffer], Lines]] = {
    "gather": _gather,
    "scatter_add": _scatter_add,
    "take_along": _take_along,
    "put_along": _put_along,
    "argmax": _extreme,
    "argmin": _extreme,
    "iota": _iota,
}
INDEXING = tuple(_BODIES)
