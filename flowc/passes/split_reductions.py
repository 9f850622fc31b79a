"""Split reductions: a reduction over rows and more is one over rows, then one over the rest.

The first can share a kernel with what it reduces, so that a mean squared error, say, never
writes the squares to memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node
from flowc.graph.walk import in_bodies
from flowc.passes.constants import node_of
from flowc_runtime.expression import ROW_OPS
from flowc_runtime.ops import CATALOG

LEAST_ROW = 8  # shorter rows are quicker to reduce as a whole


def split_reductions(graph: Graph) -> Graph:
    return rebuild(in_bodies(split_reductions, graph), _rewrite)


def _rewrite(builder: Builder, node: Node, operands: tuple[Value, ...]) -> Sequence[Value] | None:
    if node.op not in ROW_OPS.values() or not _gains(builder, operands[0], node.attrs["axes"]):
        return None
    last = operands[0].type.rank - 1
    keep = node.attrs["keep"]
    rows = builder(node.op, operands[0], axes=(last,), keep=keep)
    others = tuple(axis for axis in node.attrs["axes"] if axis != last)
    return (builder(node.op, rows, axes=others, keep=keep),)


def _gains(builder: Builder, operand: Value, axes: tuple[int, ...]) -> bool:
    last = operand.type.rank - 1
    source = node_of(builder, operand)
    if last not in axes or len(axes) == 1 or source.op not in CATALOG:
        return False
    row = operand.type.shape[last]
    return CATALOG[source.op].elementwise and not (isinstance(row, int) and row < LEAST_ROW)
