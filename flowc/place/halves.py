"""A training step in two halves: the gradient of a shard, and the update from the summed gradients.

Where they meet, values are summed over the shards: the gradients of parameters, and the next
values of states. The update takes the mean, so it scales what it is given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Output, Ref, Update

GRADIENT, NEXT = "gradient.", "next."  # prefixes of the names that cross from half to half


def gradient_half(differentiated: Graph) -> Graph:
    """Loss, metrics, the gradients and the next values of states: what a shard gives."""
    told = [o for o in differentiated.outputs if not o.name.startswith(GRADIENT)]
    return Graph(differentiated.nodes, (*told, *_crossing(differentiated)))


def update_half(differentiated: Graph, updated: Graph, counted: int) -> Graph:
    """The updates of `updated`, which began as `differentiated`, from sums over `counted` shards.

    Its inputs are named as the outputs of the gradient half.
    """
    builder = Builder()
    moved: dict[Ref, Value] = {}
    for output in _crossing(differentiated):
        total = builder.input(output.name, differentiated.type_of(output.value))
        moved[output.value] = _mean(builder, total, counted)
    _copy_needed(builder, updated, moved)
    updates = [
        Update(moved[Ref(u.variable)].ref.node, moved[u.value].ref) for u in updated.updates
    ]
    return builder.finish((), updates)


def _crossing(graph: Graph) -> list[Output]:
    """What is summed between the halves, each value once; leaves are the same in both."""
    nexts = [
        Output(NEXT + graph.nodes[u.variable].attrs["path"], u.value) for u in graph.updates
    ]
    outputs = [o for o in graph.outputs if o.name.startswith(GRADIENT)] + nexts
    first: dict[Ref, Output] = {}
    for output in outputs:
        if graph.nodes[output.value.node].op not in ("variable", "const", "dim"):
            first.setdefault(output.value, output)
    return list(first.values())


def _mean(builder: Builder, total: Value, counted: int) -> Value:
    if counted == 1 or total.type.kind == "bool":
        return total
    if total.type.kind == "int":
        divisor = builder.constant(counted, total.type)
        return builder("floor_div", total, divisor)
    return builder("mul", total, builder.constant(1.0 / counted, total.type))


def _copy_needed(builder: Builder, graph: Graph, moved: dict[Ref, Value]) -> None:
    """Copies what the updates need and is not there yet, in order."""
    needed = _needed(graph, moved)
    for node in graph.nodes:
        if node.id in needed:
            values = builder.copy(node, tuple(moved[ref].ref for ref in node.operands))
            moved.update({Ref(node.id, k): value for k, value in enumerate(values)})


def _needed(graph: Graph, given: Mapping[Ref, Value]) -> set[int]:
    roots: Iterable[Ref] = (
        *(u.value for u in graph.updates), *(Ref(u.variable) for u in graph.updates))
    needed: set[int] = set()
    pending = [ref for ref in roots if ref not in given]
    while pending:
        node = graph.nodes[pending.pop().node]
        if node.id not in needed:
            needed.add(node.id)
            pending += [ref for ref in node.operands if ref not in given]
    return needed
