"""Join scatters: a sum of tables that were added up by index is one table, by all the indices.

That sum is the gradient of a table that is looked up in several places: each would else fill a
table of zeros of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node
from flowc.graph.walk import has_op, in_bodies
from flowc.passes.constants import node_of
from flowc_runtime.dims import product


def join_scatters(graph: Graph) -> Graph:
    graph = in_bodies(join_scatters, graph)
    return rebuild(graph, _rewrite) if has_op(graph, "scatter_add") else graph


def _rewrite(builder: Builder, node: Node, operands: tuple[Value, ...]) -> Sequence[Value] | None:
    if node.op != "add" or any(value.type != node.type for value in operands):
        return None
    scatters = [node_of(builder, value) for value in operands]
    if any(scatter.op != "scatter_add" for scatter in scatters):
        return None
    indices = [_flat(builder, builder.value(s.operands[0]), 0) for s in scatters]
    if indices[0].type.dtype != indices[1].type.dtype:
        return None
    rank = node.type.rank
    updates = [_flat(builder, builder.value(s.operands[1]), rank - 1) for s in scatters]
    index, rows = builder("concat", *indices, axis=0), builder("concat", *updates, axis=0)
    return (builder("scatter_add", index, rows, rows=node.type.shape[0]),)


def _flat(builder: Builder, value: Value, kept: int) -> Value:
    """The value with all axes as one, but for the last `kept`."""
    rank = value.type.rank
    if rank == kept + 1:
        return value
    front, behind = value.type.shape[: rank - kept], value.type.shape[rank - kept :]
    return builder("reshape", value, shape=(product(front), *behind))
