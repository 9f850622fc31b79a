"""Rules of `simplify` that keep elementwise ops from working on repeated data."""

from __future__ import annotations

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Node
from flowc.passes.constants import node_of
from flowc_runtime.ops import CATALOG
from flowc_runtime.types import TensorType

Operands = tuple[Value, ...]


def drop_broadcasts(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """Elementwise ops broadcast by themselves: a repeated operand may come as it was before.

    So may one that was only given leading axes of size 1.
    """
    smaller = tuple(_unstretched(builder, value) for value in operands)
    if smaller == operands or _result_type(node, smaller) != node.type:
        return None
    return builder.emit(node.op, smaller, node.attrs)[0]


def sink_broadcasts(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """Repeating the result is less work than computing on repeated operands."""
    smaller = tuple(_unstretched(builder, value) for value in operands)
    if smaller == operands or _result_type(node, smaller).size == node.type.size:
        return None
    value = builder.emit(node.op, smaller, node.attrs)[0]
    return builder("broadcast", value, shape=node.type.shape)


def _unstretched(builder: Builder, value: Value) -> Value:
    node = node_of(builder, value)
    while node.op == "broadcast" or _adds_leading_ones(builder, node):
        value = builder.value(node.operands[0])
        node = node_of(builder, value)
    return value


def _adds_leading_ones(builder: Builder, node: Node) -> bool:
    if node.op != "reshape":
        return False
    inner, outer = builder.value(node.operands[0]).type.shape, node.type.shape
    added = len(outer) - len(inner)
    return added > 0 and outer == (1,) * added + inner


def _result_type(node: Node, operands: Operands) -> TensorType:
    return CATALOG[node.op].infer(tuple(v.type for v in operands), node.attrs)[0]
