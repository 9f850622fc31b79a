"""Stages: the parts of a model that the place section puts on devices of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowc.diagnostic import Diagnostic, Label, Sink
from flowc.graph.graph import Graph, Node
from flowc.lower.place import Placing, StagePin, covers
from flowc.place.balance import balanced
from flowc.place.emit import Halves
from flowc.syntax import tree as t


def halves_of(
    gradient: Graph, update: Graph, pieces: Mapping[str, str], placing: Placing, sink: Sink
) -> Halves:
    """The halves with a stage for each node of the gradient half, if the text names stages.

    `pieces` are the roles of rows of split parameters, by their paths.
    """
    if placing.stage_count < 2:
        return Halves(gradient, update, {}, pieces)
    if placing.stages:
        fixed = _fixed_by(placing.stages, gradient, sink)
    else:
        fixed = _balanced(placing, gradient, sink)
    return Halves(gradient, update, stages_of(gradient, fixed), pieces)


def _fixed_by(pins: Sequence[StagePin], graph: Graph, sink: Sink) -> dict[int, int]:
    """What lies under a pinned name."""
    fixed = {n.id: stage for n in graph.nodes if (stage := _pinned(n, pins)) is not None}
    for k, pin in enumerate(pins):
        if k not in fixed.values():
            sink.report(_empty_stage(pin))
    return fixed


def _balanced(placing: Placing, graph: Graph, sink: Sink) -> dict[int, int]:
    """What depends on examples, where the text leaves it to the compiler."""
    fixed = balanced(graph, placing.stage_count)
    if fixed is None:
        assert placing.span is not None
        sink.report(Diagnostic(
            "empty-stage", f"the model has not enough ops for {placing.stage_count} stages",
            Label(placing.span), help="use fewer stages"))
    return fixed or {}


def stages_of(graph: Graph, fixed: Mapping[int, int]) -> dict[int, str]:
    """A stage for each node that is no free leaf.

    What is fixed runs there. A parameter runs where it is fixed or first used; anything else, a
    gradient or a sum, runs where the latest of its operands does.
    """
    stages: dict[int, int] = dict(fixed)
    backward = _backward(graph)
    for node in graph.nodes:
        if node.id in stages or node.op in ("input", "const", "dim", "variable"):
            continue
        found = [stages[r.node] for r in node.operands if r.node in stages]
        if found:
            stages[node.id] = _latest(found, node.id in backward)
    _place_lookups(graph, stages)
    _place_variables(graph, stages)
    return {id: f"stage:{k}" for id, k in stages.items()}


def _latest(found: Sequence[int], backward: bool) -> int:
    """Forward values move on to the later stage, gradients back to the earlier one."""
    return min(found) if backward else max(found)


def _backward(graph: Graph) -> set[int]:
    """Nodes that come after the loss in the order of the graph: gradients."""
    loss = next((o.value.node for o in graph.outputs if o.name == "loss"), len(graph.nodes))
    return set(range(loss + 1, len(graph.nodes)))


def _pinned(node: Node, pins: Sequence[StagePin]) -> int | None:
    if node.op in ("input", "const", "dim"):
        return None
    path = node.attrs["path"] if node.op == "variable" else node.origin.path
    for number, pin in enumerate(pins):
        if path and any(_covers(pattern, path) for pattern in pin.patterns):
            return number
    return None


def _covers(pattern: t.Pattern, path: str) -> bool:
    return covers(pattern, path)


def _place_lookups(graph: Graph, stages: dict[int, int]) -> None:
    """What comes of variables that no pattern names alone runs where it is used earliest."""
    of_variables: set[int] = set()
    users: dict[int, list[int]] = {}
    for node in graph.nodes:
        operands = {ref.node for ref in node.operands}
        if node.op == "variable" or (node.id not in stages and operands & of_variables):
            of_variables.add(node.id)
        for id in operands:
            users.setdefault(id, []).append(node.id)
    for id in sorted(of_variables, reverse=True):
        if id not in stages and graph.nodes[id].op != "variable":
            stages[id] = min((stages[u] for u in users.get(id, ()) if u in stages), default=0)


def _place_variables(graph: Graph, stages: dict[int, int]) -> None:
    """A variable that no pattern names lies where it is used first."""
    for node in graph.nodes:
        for ref in node.operands:
            if graph.nodes[ref.node].op == "variable" and node.id in stages:
                stages.setdefault(ref.node, stages[node.id])
    for node in graph.nodes:
        if node.op == "variable":
            stages.setdefault(node.id, 0)


def _empty_stage(pin: StagePin) -> Diagnostic:
    return Diagnostic(
        "empty-stage", f"nothing runs on `{pin.device}`: no op lies under these names",
        Label(pin.span), help="name layers, parameters or names that the model binds",
    )


