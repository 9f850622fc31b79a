"""Where values lie: storage, places within it, and the nodes that only look at another's bytes."""

from __future__ import annotations

from dataclasses import dataclass

from flowc.graph.graph import Node
from flowc_runtime.types import TensorType


@dataclass(frozen=True, slots=True)
class Storage:
    """Bytes that one value is written into.

    `home` names memory outside the arena (a variable, a constant, what a scan's body is lent);
    None is the arena. `kept` storage holds its value until the program ends.
    """

    id: int
    bytes: int
    home: str | None = None
    kept: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A contiguous tensor, `offset` bytes into a storage."""

    storage: int
    offset: int
    type: TensorType


def variable_home(path: str) -> str:
    return f"variable {path}"


def constant_home(node: Node) -> str:
    """One name for all constants of the same type and value (`0.0` and `-0.0` differ)."""
    return f"constant {node.type} {node.attrs['value']!r}"


def view(node: Node, operand: Place) -> Place | None:
    """The place of a node's value inside its operand's, where the bytes are the same ones."""
    if node.op == "slice":
        start = _contiguous_start(node, operand.type)
        return None if start is None else Place(operand.storage, operand.offset + start, node.type)
    same = _SAME_BYTES.get(node.op)
    if same is None or not same(node, operand.type):
        return None
    return Place(operand.storage, operand.offset, node.type)


def _always(node: Node, operand: TensorType) -> bool:
    return True


def _same_dtype(node: Node, operand: TensorType) -> bool:
    return node.type.dtype == operand.dtype


def _same_size(node: Node, operand: TensorType) -> bool:
    return node.type.bytes == operand.bytes


def _order_kept(node: Node, operand: TensorType) -> bool:
    """A transpose that moves only axes of size 1."""
    wide = [axis for axis in node.attrs["perm"] if operand.sizes[axis] != 1]
    return wide == sorted(wide)


_SAME_BYTES = {
    "reshape": _always,
    "stop_gradient": _always,
    "cast": _same_dtype,
    "broadcast": _same_size,
    "transpose": _order_kept,
}


def _contiguous_start(node: Node, operand: TensorType) -> int | None:
    """The byte at which a slice begins, if it is one run of the operand's bytes.

    That is so where all axes before one are cut to a single index, and all after it are whole.
    """
    shape, starts, steps = node.type.sizes, node.attrs["starts"], node.attrs["steps"]
    start, stride, cut = 0, operand.storage.itemsize, False
    for axis in reversed(range(operand.rank)):
        size = operand.sizes[axis]
        if shape[axis] != 1 and (cut or steps[axis] != 1):
            return None
        cut = cut or shape[axis] != size
        start += starts[axis] * stride
        stride *= size
    return start if node.type.size else None
