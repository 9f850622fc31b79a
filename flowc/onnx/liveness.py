"""Which nodes of a graph count, and who reads what."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from flowc.onnx.model import Graph, Node


def mentioned(node: Node) -> Iterator[str]:
    """The values that a node reads, in the graphs inside of it too."""
    yield from (name for name in node.inputs if name)
    for value in node.attrs.values():
        if isinstance(value, Graph):
            yield from (name for inner in value.nodes for name in mentioned(inner))
            yield from (o.name for o in value.outputs)


def live(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    """The nodes that the outputs depend on."""
    needed = set(outputs)
    kept: list[Node] = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(mentioned(node))
            kept.append(node)
    return kept[::-1]


def used(graph: Graph) -> set[str]:
    """The values that the graph's results depend on, its inputs among them."""
    outputs = [o.name for o in graph.outputs]
    nodes = live(graph.nodes, outputs)
    return {*outputs, *(name for node in nodes for name in mentioned(node))}


def followers(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    """The nodes that read each value."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        for name in set(mentioned(node)):
            found.setdefault(name, []).append(node)
    return found
