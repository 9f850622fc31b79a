"""The memory of a plan on the host: one allocation for variables, constants and the arena."""

from __future__ import annotations

from copy import copy

import numpy as np

from flowc_runtime.ops.op import Array
from flowc_runtime.plan import ALIGNMENT_BYTES, Buffer, Constant, Plan


class HostMemory:
    """All bytes that a plan works on, zeroed once; CPU devices compute on views of it."""

    def __init__(self, plan: Plan):
        sizes = {
            "variables": plan.variable_bytes,
            "constants": plan.constant_bytes,
            "arena": plan.arena_bytes,
        }
        everything = aligned_zeros(sum(map(_rounded, sizes.values())))
        spaces: dict[str, Array] = {}
        end = 0
        for space, size in sizes.items():
            spaces[space] = everything[end : end + _rounded(size)]
            end += _rounded(size)
        self._kept = {name: spaces[name] for name in ("variables", "constants")}
        self._arena = spaces["arena"]
        for constant in plan.constants:
            target = self.view(Buffer("constants", constant.offset, constant.type))
            target[...] = constant_array(constant)

    def sibling(self) -> HostMemory:
        """The same variables and constants with an arena of its own, also zeroed."""
        other = copy(self)
        other._arena = aligned_zeros(_rounded(self._arena.size))
        return other

    def view(self, buffer: Buffer) -> Array:
        """The buffer's tensor, to read and to write."""
        space = self.space(buffer.space)
        return np.ndarray(buffer.type.sizes, buffer.type.storage, space, buffer.offset)

    def space(self, name: str) -> Array:
        """The bytes of one of SPACES."""
        return self._arena if name == "arena" else self._kept[name]

    def scratch(self, offset: int, size: int) -> Array:
        """`size` bytes of the arena."""
        return self._arena[offset : offset + size]


def constant_array(constant: Constant) -> Array:
    """The constant as it is stored, one number filling it; ValueError if it has another shape."""
    bf16 = constant.type.dtype == "bf16"
    array = np.asarray(constant.value, np.float32 if bf16 else constant.type.storage)
    if array.shape not in ((), constant.type.sizes):
        raise ValueError(f"it has the shape {list(array.shape)}")
    return _to_bf16(array) if bf16 else array


def _to_bf16(array: Array) -> Array:
    """The upper halves of f32, rounded to nearest, ties to even."""
    bits = array.view(np.uint32)
    rounded = bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
    return (rounded >> np.uint32(16)).astype(np.uint16)


def same_place(a: Buffer, b: Buffer) -> bool:
    """Whether two buffers of one type are the same bytes."""
    return (a.space, a.offset) == (b.space, b.offset)


def _rounded(size: int) -> int:
    return -(-size // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def aligned_zeros(size: int) -> Array:
    """Zeros that begin on a cache line: uint8[size]."""
    raw = np.zeros(size + ALIGNMENT_BYTES, np.uint8)
    skip = -raw.ctypes.data % ALIGNMENT_BYTES
    return raw[skip : skip + size]
