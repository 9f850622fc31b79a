"""Walking over graphs: who uses what, and passes that also work inside scan bodies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace

from flowc.graph.graph import Graph, Node, Ref

Pass = Callable[[Graph], Graph]


def users(graph: Graph) -> dict[Ref, list[Node]]:
    """The nodes that take each value as an operand, in order; one entry for each time."""
    found: dict[Ref, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        for ref in node.operands:
            found[ref].append(node)
    return found


def live_nodes(graph: Graph) -> frozenset[int]:
    """The ids of the nodes that the outputs and updates depend on, updated variables included."""
    live = {ref.node for ref in graph.roots} | {u.variable for u in graph.updates}
    for node in reversed(graph.nodes):
        if node.id in live:
            live.update(ref.node for ref in node.operands)
    return frozenset(live)


def in_bodies(change: Pass, graph: Graph) -> Graph:
    """The graph with `change` applied to the body of each of its scans (not to itself)."""
    if all(node.body is None for node in graph.nodes):
        return graph
    nodes = tuple(n if n.body is None else replace(n, body=change(n.body)) for n in graph.nodes)
    return replace(graph, nodes=nodes)


def has_op(graph: Graph, op: str) -> bool:
    """Whether any node of the graph itself is an `op`; lets a pass skip graphs without one."""
    return any(node.op == op for node in graph.nodes)


def all_nodes(graph: Graph) -> Iterator[Node]:
    """Every node, those of scan bodies included, each body before the node that holds it."""
    for node in graph.nodes:
        if node.body is not None:
            yield from all_nodes(node.body)
        yield node
