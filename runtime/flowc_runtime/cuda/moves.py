"""Kernels that only move data: a thread for each element that is written."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from flowc_runtime.cuda.kernel import Kernel, Launch, each_element, own_element
from flowc_runtime.cuda.text import offset, positions
from flowc_runtime.moves import ELEMENTS, Move, moved_by
from flowc_runtime.plan import Buffer, Instruction


def move_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    moved = moved_by(instruction, buffers)
    if moved is None:
        return None
    result = buffers[instruction.results[0]]
    clears = (_clear(result),) if moved.cleared else ()
    sources = [(move, buffers[instruction.operands[k]]) for k, move in moved.moves]
    return (*clears, *(move_launch(move, source, result) for move, source in sources))


def move_launch(move: Move, source: Buffer, target: Buffer) -> Launch:
    elements = prod(move.sizes)
    body = (
        *own_element(elements),
        *positions("a", "at", move.sizes),
        f"O0[{offset('a', move.targets, *_start(move.target))}] = "
        f"I0[{offset('a', move.sources, *_start(move.source))}];",
    )
    kernel = Kernel((("I0", move.element), ("O0", move.element)), body)
    return Launch(kernel, (source, target), each_element(elements))


def _start(element: int) -> tuple[str, ...]:
    return (str(element),) if element else ()


def _clear(result: Buffer) -> Launch:
    elements, element = prod(result.type.sizes), ELEMENTS[result.type.storage.itemsize]
    kernel = Kernel((("O0", element),), (*own_element(elements), "O0[at] = 0;"))
    return Launch(kernel, (result,), each_element(elements))
