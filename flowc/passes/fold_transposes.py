"""Fold transposes: a matrix product reads and gives its matrices either way round.

A transpose that only swaps the matrices' two axes vanishes. One that also moves others is left
with what keeps the rows whole, which copies whole runs of memory instead of single elements.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node
from flowc.graph.walk import has_op, in_bodies, live_nodes, users
from flowc.passes.constants import node_of


def fold_transposes(graph: Graph) -> Graph:
    """Moves transposes of the last two axes around matmul into its flags."""
    graph = in_bodies(fold_transposes, graph)
    return _fold_results(_fold_operands(graph)) if has_op(graph, "transpose") else graph


def _fold_operands(graph: Graph) -> Graph:
    """`matmul(transpose(a), b)` is a matmul that reads `a` by its columns."""

    def rewrite(
        builder: Builder, node: Node, operands: tuple[Value, ...]
    ) -> Sequence[Value] | None:
        if node.op != "matmul":
            return None
        a, turn_a = _turned(builder, operands[0], node.attrs["transpose_a"])
        b, turn_b = _turned(builder, operands[1], node.attrs["transpose_b"])
        return (builder("matmul", a, b, transpose_a=turn_a, transpose_b=turn_b),)

    return rebuild(graph, rewrite)


def _fold_results(graph: Graph) -> Graph:
    """The transpose of `a @ b` is `b' @ a'`; only where the product itself is not wanted too."""
    live, roots = live_nodes(graph), set(graph.roots)
    uses = {ref: [n for n in nodes if n.id in live] for ref, nodes in users(graph).items()}
    single = {ref for ref, nodes in uses.items() if len(nodes) == 1 and ref not in roots}

    def rewrite(
        builder: Builder, node: Node, operands: tuple[Value, ...]
    ) -> Sequence[Value] | None:
        rank = _rank(node)
        if not rank or node.attrs["perm"][-1] != rank - 2 or node.operands[0] not in single:
            return None
        product = node_of(builder, operands[0])
        if product.op != "matmul":
            return None
        a, b = (builder.value(ref) for ref in product.operands)
        turn_a, turn_b = not product.attrs["transpose_b"], not product.attrs["transpose_a"]
        turned = builder("matmul", b, a, transpose_a=turn_a, transpose_b=turn_b)
        swap = {rank - 1: rank - 2, rank - 2: rank - 1}
        perm = tuple(swap.get(axis, axis) for axis in node.attrs["perm"])
        return (_moved(builder, turned, perm),)

    return rebuild(graph, rewrite)


def _turned(builder: Builder, value: Value, flag: bool) -> tuple[Value, bool]:
    """An operand of a matmul, and its flag, without a swap of its last two axes."""
    node = node_of(builder, value)
    rank = _rank(node)
    if not rank or node.attrs["perm"][-2] != rank - 1:
        return value, flag
    *batch, before_last, last = node.attrs["perm"]
    source = builder.value(node.operands[0])
    with builder.at(node.origin):
        return _moved(builder, source, (*batch, last, before_last)), not flag


def _moved(builder: Builder, value: Value, perm: tuple[int, ...]) -> Value:
    return value if perm == tuple(range(len(perm))) else builder("transpose", value, perm=perm)


def _rank(node: Node) -> int:
    """The rank of a transpose that could be a matrix product's business, else 0."""
    rank = len(node.attrs["perm"]) if node.op == "transpose" else 0
    return rank if rank >= 2 else 0
