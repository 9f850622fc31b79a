"""What ops that only move data do: copies between tensors seen with any strides.

Which element goes where is asked of NumPy: an op's own view of an array that has no memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from flowc_runtime.ops.op import Array, Attrs
from flowc_runtime.ops.slicing import slices_of
from flowc_runtime.plan import Buffer, Instruction

ELEMENTS = {1: "u8", 4: "f32", 8: "i64"}  # as what elements of so many bytes are moved
Sizes = tuple[int, ...]
Views = list[tuple[int, Array, Array]]  # the number of an operand, what is read of it, and where to


@dataclass(frozen=True, slots=True)
class Move:
    """Copies element by element: `sizes` are how many along each axis, the outermost first;
    strides and starts count elements. `element` is one of ELEMENTS."""

    element: str
    sizes: Sizes
    sources: Sizes  # strides
    targets: Sizes
    source: int = 0  # where the first element is
    target: int = 0


def move_of(source: Array, target: Array, element: str) -> Move:
    """Both are views of `unreal` arrays, of the same shape."""
    if not source.size:
        return Move(element, (0,), (1,), (1,))
    axes = [
        (n, s, t)
        for n, s, t in zip(source.shape, source.strides, target.strides, strict=True) if n > 1
    ]
    merged: list[tuple[int, int, int]] = []
    for n, s, t in axes:
        if merged:
            count, source_step, target_step = merged[-1]
            if (source_step, target_step) == (s * n, t * n):
                merged[-1] = (count * n, s, t)
                continue
        merged.append((n, s, t))
    merged.sort(key=lambda axis: -axis[2])  # what is written goes forwards
    sizes, sources, targets = (tuple(axis[k] for axis in merged) for k in range(3))
    return Move(element, sizes, sources, targets, _start(source), _start(target))


def unreal(sizes: Sequence[int]) -> Array:
    """An array of one byte an element, as it lies in memory, but without any."""
    strides = [int(np.prod(sizes[k + 1 :], dtype=np.int64)) for k in range(len(sizes))]
    return as_strided(_ONE, tuple(sizes), strides)


_ONE = np.zeros(1, np.uint8)


def _start(view: Array) -> int:
    assert isinstance(view, np.ndarray), "an index without `...` may give a number and no view"
    return int(view.__array_interface__["data"][0] - _ONE.ctypes.data)


# --- instructions --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moved:
    """What an instruction moves, by the numbers of its operands, and how many bytes of the result
    are cleared before."""

    moves: tuple[tuple[int, Move], ...]
    cleared: int


def moved_by(instruction: Instruction, buffers: Sequence[Buffer]) -> Moved | None:
    """None where that is left to NumPy: elements of two bytes, nothing to move, bytes that meet."""
    operands = [buffers[k] for k in instruction.operands]
    result = buffers[instruction.results[0]]
    size = result.type.storage.itemsize
    if size not in ELEMENTS or not result.type.bytes or any(result.meets(o) for o in operands):
        return None
    sources = [unreal(o.type.sizes) for o in operands]
    target = unreal(result.type.sizes)
    found = _MOVES[instruction.op](sources, target, instruction.attrs)
    if any(a.shape != b.shape for _, a, b in found):
        return None  # NumPy refuses it
    moved = sum(a.size for _, a, _ in found)
    return Moved(
        tuple((k, move_of(a, b, ELEMENTS[size])) for k, a, b in found if a.size),
        0 if moved == target.size else result.type.bytes)


def _copy(sources: list[Array], target: Array, attrs: Attrs) -> Views:
    return [(0, sources[0], target)]


def _slice(sources: list[Array], target: Array, attrs: Attrs) -> Views:
    return [(0, sources[0][slices_of(attrs)], target)]


def _unslice(sources: list[Array], target: Array, attrs: Attrs) -> Views:
    return [(0, sources[0], target[slices_of(attrs)])]


def _concat(sources: list[Array], target: Array, attrs: Attrs) -> Views:
    ends = np.cumsum([s.shape[attrs["axis"]] for s in sources])
    parts = np.split(target, ends[:-1], axis=attrs["axis"])
    return list(zip(range(len(sources)), sources, parts, strict=True))


def _transpose(sources: list[Array], target: Array, attrs: Attrs) -> Views:
    return [(0, sources[0].transpose(attrs["perm"]), target)]


def _broadcast(sources: list[Array], target: Array, attrs: Attrs) -> Views:
    return [(0, np.broadcast_to(sources[0], target.shape), target)]


_MOVES: Mapping[str, Callable[[list[Array], Array, Attrs], Views]] = {
    "copy": _copy,
    "slice": _slice,
    "unslice": _unslice,
    "concat": _concat,
    "transpose": _transpose,
    "broadcast": _broadcast,
}
MOVING = tuple(_MOVES)
