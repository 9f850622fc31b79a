"""A graph planned: its steps in order, and where in the arena they work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowc.graph.graph import Graph, Node, Ref
from flowc.plan.join import Homes, join_updates
from flowc.plan.memory import Memory, Rows, lay_out
from flowc.plan.order import linear_order
from flowc.plan.places import Place, constant_home, variable_home, view
from flowc.plan.steps import Draft
from flowc.plan.updates import Change, write_back

GUARD = "loss"  # the output that must be complete before anything is written back


@dataclass(frozen=True)
class Planned:
    """`commit` is the position of the first step that writes outside the arena."""

    draft: Draft
    order: tuple[int, ...]
    commit: int
    memory: Memory

    @property
    def arena_bytes(self) -> int:
        return self.memory.bytes


def plan_graph(graph: Graph, homes: Homes, in_order: bool = False) -> Planned:
    """Plans a program whose dimensions are all bound. Its inputs keep their values to the end.

    `homes` are the addresses of the variables. `in_order` keeps the steps as the graph lists them.
    """
    draft = Draft()
    places = _translate(draft, graph, lambda node: draft.new_place(node.type, kept=True))
    draft.outputs = {o.name: places[o.value] for o in graph.outputs}
    changes = [
        Change(places[Ref(u.variable)], places[u.value], graph.nodes[u.variable].origin)
        for u in graph.updates
    ]
    guard = [draft.outputs[GUARD]] if GUARD in draft.outputs else []
    writers = write_back(draft, changes, guard)
    for place in draft.outputs.values():
        draft.keep(place)
    joined = join_updates(draft, writers, homes)
    order = linear_order(joined.draft, joined.writers, in_order)
    return _finish(joined.draft, joined.writers, order, joined.rows)


def plan_body(graph: Graph, carries: int) -> Planned:
    """Plans a scan's body. Carries (`c0`..) and captured values (`k0`..) are lent to it.

    A carry's input and its next value share one place, so that the next round finds it there.
    """
    draft = Draft()

    def place_input(node: Node) -> Place:
        name = node.attrs["name"]
        return draft.new_place(node.type, None if name[0] == "x" else name)

    places = _translate(draft, graph, place_input)
    changes = []
    for k, output in enumerate(graph.outputs[:carries]):
        value, name = places[output.value], f"c{k}"
        if name not in draft.inputs:  # nothing reads it
            draft.inputs[name] = draft.new_place(value.type, name)
        changes.append(Change(draft.inputs[name], value, graph.nodes[output.value.node].origin))
    draft.outputs = {o.name: places[o.value] for o in graph.outputs[carries:]}
    writers = write_back(draft, changes, guard=())
    for place in draft.outputs.values():
        draft.keep(place)
    return _finish(draft, writers, linear_order(draft, last=()), rows=())


def _finish(
    draft: Draft, writers: frozenset[int], order: tuple[int, ...], rows: Rows
) -> Planned:
    commit = next((p for p, step in enumerate(order) if step in writers), len(order))
    return Planned(draft, order, commit, lay_out(draft, order, rows))


def _translate(
    draft: Draft, graph: Graph, place_input: Callable[[Node], Place]
) -> dict[Ref, Place]:
    """Gives each wanted value a place, and makes steps of the nodes that compute something."""
    places: dict[Ref, Place] = {}
    homes: dict[str, Place] = {}
    wanted = _wanted(graph)
    for node in graph.nodes:
        if node.op == "input":
            name = node.attrs["name"]
            if name not in draft.inputs:
                draft.inputs[name] = place_input(node)
            places[Ref(node.id)] = draft.inputs[name]
        elif node.id not in wanted:
            continue
        elif node.op in ("variable", "const", "dim"):
            home = _home(node)
            if home not in homes:
                homes[home] = draft.new_place(node.type, home)
            places[Ref(node.id)] = homes[home]
        else:
            operands = tuple(places[ref] for ref in node.operands)
            for k, place in enumerate(_results(draft, node, operands)):
                places[Ref(node.id, k)] = place
    return places


def _wanted(graph: Graph) -> set[int]:
    """The nodes that an output or an update depends on, and the updated variables."""
    wanted = {ref.node for ref in graph.roots} | {u.variable for u in graph.updates}
    for node in reversed(graph.nodes):
        if node.id in wanted:
            wanted.update(ref.node for ref in node.operands)
    return wanted


def _home(node: Node) -> str:
    return variable_home(node.attrs["path"]) if node.op == "variable" else constant_home(node)


def _results(draft: Draft, node: Node, operands: tuple[Place, ...]) -> tuple[Place, ...]:
    same = view(node, operands[0]) if operands else None
    if same is not None:
        return (same,)
    body = plan_body(node.body, node.attrs["carries"]) if node.body is not None else None
    results = tuple(draft.new_place(type) for type in node.types)
    draft.add(node.op, node.attrs, operands, results, node.origin, body)
    return results
