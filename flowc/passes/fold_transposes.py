"""Fold transposes: a matrix product reads and gives its matrices either way round."""

from __future__ import annotations

from collections.abc import Sequence

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node
from flowc.graph.walk import in_bodies, users
from flowc.passes.constants import node_of


def fold_transposes(graph: Graph) -> Graph:
    """Moves transposes of the last two axes around matmul into its flags."""
    return _fold_results(_fold_operands(in_bodies(fold_transposes, graph)))


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
    used = users(graph)
    roots = set(graph.roots)
    single = {ref for ref, nodes in used.items() if len(nodes) == 1 and ref not in roots}

    def rewrite(
        builder: Builder, node: Node, operands: tuple[Value, ...]
    ) -> Sequence[Value] | None:
        if not _swaps_last_two(node) or node.operands[0] not in single:
            return None
        product = node_of(builder, operands[0])
        if product.op != "matmul":
            return None
        a, b = (builder.value(ref) for ref in product.operands)
        turn_a, turn_b = not product.attrs["transpose_b"], not product.attrs["transpose_a"]
        return (builder("matmul", b, a, transpose_a=turn_a, transpose_b=turn_b),)

    return rebuild(graph, rewrite)


def _turned(builder: Builder, value: Value, flag: bool) -> tuple[Value, bool]:
    node = node_of(builder, value)
    if not _swaps_last_two(node):
        return value, flag
    return builder.value(node.operands[0]), not flag


def _swaps_last_two(node: Node) -> bool:
    if node.op != "transpose":
        return False
    perm = tuple(node.attrs["perm"])
    rank = len(perm)
    return rank >= 2 and perm == (*range(rank - 2), rank - 1, rank - 2)
