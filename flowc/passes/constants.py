"""What passes know about constants: tensors that are one number throughout."""

from __future__ import annotations

from typing import Any

import numpy as np

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Node

Number = int | float | bool

_FILLED_LIKE_OPERAND = ("broadcast", "reshape")


def node_of(builder: Builder, value: Value) -> Node:
    return builder.nodes[value.ref.node]


def number_of(builder: Builder, value: Value) -> Number | None:
    """The number that fills the tensor, if it is known; looks through broadcasts and reshapes."""
    node = node_of(builder, value)
    while node.op in _FILLED_LIKE_OPERAND:
        node = builder.nodes[node.operands[0].node]
    return const_number(node) if node.op == "const" else None


def const_number(node: Node) -> Number | None:
    """The number of a `const` node that holds only one."""
    value = node.attrs["value"]
    while isinstance(value, tuple):
        if len(value) != 1:
            return None
        value = value[0]
    return as_kind(value, node.type.kind)


def const_array(node: Node) -> np.ndarray:
    """The value of a `const` node; raises OverflowError where an integer does not fit."""
    return np.array(node.attrs["value"], node.type.storage).reshape(node.type.sizes)


def const_value(array: np.ndarray) -> Any:
    """An array as the `value` of a `const`: a number, or nested tuples of numbers."""
    return _tuples(array.tolist())


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def as_kind(value: Any, kind: str) -> Number:
    return float(value) if kind == "float" else int(value) if kind == "int" else bool(value)
