"""Stages that the compiler cuts by itself: about equally long, with little to send between them.

The ops that depend on examples are a line, in the order of the graph, and each gradient belongs to
the op that it is computed beside. A cut of the line into contiguous stages sends activations only
forwards and gradients only backwards. Among all cuts the one whose slowest stage is the fastest is
found exactly, by dynamic programming (the linear partition problem; PipeDream, Narayanan et al.
2019, cuts its layers that way). On a line, list scheduling could but come near it.

A plan must be the same wherever it is made. So costs are those of ops by their counted work at
stated rates, not what was calibrated on some host; `flowc plan` tells what it comes to there.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import numpy as np

from flowc.graph.graph import Graph, Node, Ref
from flowc_runtime.expression import parse_expression
from flowc_runtime.ops import CATALOG

FLOPS_PER_SECOND = 40e9  # of a core with vector units
BYTES_PER_SECOND = 8e9  # of memory, read and written
LINK_BYTES_PER_SECOND = 1e9  # between two stages
SYSTEM_INPUTS = ("seed", "step")


def balanced(graph: Graph, count: int) -> dict[int, int] | None:
    """A stage for each op before the loss that depends on examples; None if there are too few."""
    line = list(_depending_on_examples(graph))
    if len(line) < count:
        return None
    places = _places(graph, line)
    seconds = np.zeros(len(line))
    for id, place in places.items():
        seconds[place] += seconds_of(graph, graph.nodes[id])
    cuts = cut(seconds, _bytes_across(graph, places, len(line)) / LINK_BYTES_PER_SECOND, count)
    return {id: bisect_right(cuts, place) for place, id in enumerate(line)}


def seconds_of(graph: Graph, node: Node) -> float:
    """Of one execution, by counted work; a loop's are those of all its rounds."""
    if node.body is not None:
        return sum(seconds_of(node.body, n) for n in node.body.nodes) * int(node.attrs["length"])
    if node.op in ("input", "variable", "const", "dim"):
        return 0.0
    operands = tuple(graph.type_of(ref) for ref in node.operands)
    if node.op == "fused":
        expression = parse_expression(node.attrs["lines"])
        cost = expression.cost(operands, node.types, node.attrs["shape"])
    else:
        cost = CATALOG[node.op].cost(operands, node.types, node.attrs)
    return max(cost.flops / FLOPS_PER_SECOND, cost.bytes / BYTES_PER_SECOND)


def _depending_on_examples(graph: Graph) -> Iterator[int]:
    """In the order of the graph, up to the loss; leaves are free, and so are not of them."""
    loss = next((o.value.node for o in graph.outputs if o.name == "loss"), len(graph.nodes) - 1)
    found: set[int] = set()
    for node in graph.nodes[: loss + 1]:
        if node.op == "input":
            if node.attrs["name"] not in SYSTEM_INPUTS:
                found.add(node.id)
        elif any(ref.node in found for ref in node.operands):
            found.add(node.id)
            yield node.id


def _places(graph: Graph, line: Sequence[int]) -> dict[int, int]:
    """Where on the line each op is; a gradient, with the earliest op whose results it needs."""
    places = {id: place for place, id in enumerate(line)}
    for node in graph.nodes:
        if node.id not in places:
            found = [places[ref.node] for ref in node.operands if ref.node in places]
            if found:
                places[node.id] = min(found)
    return places


def _bytes_across(
    graph: Graph, places: dict[int, int], length: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What would be sent if the line were cut before each place, and at its ends: nothing."""
    spans: dict[Ref, tuple[int, int]] = {}
    for node in graph.nodes:
        for ref in node.operands:
            if node.id in places and ref.node in places:
                here = places[ref.node]
                low, high = spans.get(ref, (here, here))
                spans[ref] = min(low, places[node.id]), max(high, places[node.id])
    change = np.zeros(length + 1)
    for ref, (low, high) in spans.items():
        change[low + 1] += graph.type_of(ref).bytes
        change[high + 1] -= graph.type_of(ref).bytes
    across = np.cumsum(change)
    across[[0, length]] = 0.0
    return across


def cut(
    seconds: np.ndarray[tuple[int], np.dtype[np.float64]],
    sending: np.ndarray[tuple[int], np.dtype[np.float64]], count: int,
) -> list[int]:
    """The places before which the line is cut: the first among the best."""
    length = len(seconds)
    ends = np.concatenate(([0.0], np.cumsum(seconds))) + sending
    starts = ends - 2 * sending
    best, chosen = ends - starts[0], list[list[int]]()
    best[0] = np.inf  # no stage is empty
    for _ in range(count - 1):
        before, slowest = [0] * (length + 1), np.full(length + 1, np.inf)
        # A stage's time is that from the place where it starts to where it ends.
        for end in range(1, length + 1):
            found = np.maximum(best[:end], ends[end] - starts[:end])
            before[end] = int(found.argmin())
            slowest[end] = found[before[end]]
        chosen.append(before)
        best = slowest
    cuts = [length]
    for before in reversed(chosen):
        cuts.append(before[cuts[-1]])
    return cuts[:0:-1]
