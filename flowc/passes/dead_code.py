"""Dead code: what no output and no update depends on goes, within scans too.

A scan loses the results that nobody takes, the carries that only feed themselves, and the
operands that its body does not read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence, Set
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, TypeVar

from flowc.graph.graph import Graph, Node, Output, Ref, Update
from flowc.graph.scan import numbered
from flowc.graph.walk import live_nodes

T = TypeVar("T")


@dataclass(frozen=True)
class _Kept:
    """A node that stays: what is left of it, and which of its results (by their old numbers)."""

    node: Node
    results: Sequence[int]


def dead_code(graph: Graph) -> Graph:
    return _sweep(graph, frozenset())


def _sweep(graph: Graph, always: Collection[int]) -> Graph:
    """Drops what is dead, but for the nodes with the ids `always`, and numbers the rest anew."""
    live = {*graph.roots, *(Ref(update.variable) for update in graph.updates)}
    kept: list[_Kept] = []
    for node in reversed(graph.nodes):
        wanted = [i for i in range(len(node.types)) if Ref(node.id, i) in live]
        if wanted or node.id in always:
            left = _trim_scan(node, wanted) if node.op == "scan" else _all_of(node)
            live.update(left.node.operands)
            kept.append(left)
    return _renumber(graph, kept[::-1])


def _all_of(node: Node) -> _Kept:
    return _Kept(node, range(len(node.types)))


def _renumber(graph: Graph, kept: Sequence[_Kept]) -> Graph:
    moved: dict[Ref, Ref] = {}
    nodes = []
    for id, left in enumerate(kept):
        node = left.node
        operands = tuple([moved[ref] for ref in node.operands])
        if node.id != id or node.operands != operands:
            node = Node(id, node.op, operands, node.attrs, node.types, node.origin, node.body)
        nodes.append(node)
        for new, old in enumerate(left.results):
            moved[Ref(left.node.id, old)] = Ref(id, new)
    outputs = tuple(Output(o.name, moved[o.value]) for o in graph.outputs)
    updates = tuple(Update(moved[Ref(u.variable)].node, moved[u.value]) for u in graph.updates)
    return Graph(tuple(nodes), outputs, updates)


def _trim_scan(node: Node, wanted: Collection[int]) -> _Kept:
    assert node.body is not None
    results = _needed_results(node, node.body, wanted)
    inputs = [n for n in node.body.nodes if n.op == "input"]
    outputs = tuple(node.body.outputs[i] for i in results)
    live = live_nodes(Graph(node.body.nodes, outputs))
    stays = [n.id in live or _is_carry(node, i, results) for i, n in enumerate(inputs)]
    always = frozenset(n.id for n in compress(inputs, stays))
    attrs = _trim_attrs(node, stays, results)
    body = _rename(_sweep(Graph(node.body.nodes, outputs), always), attrs)
    operands, types = _pick(node.operands, stays), tuple(node.types[i] for i in results)
    return _Kept(replace(node, operands=operands, attrs=attrs, types=types, body=body), results)


def _needed_results(node: Node, body: Graph, wanted: Collection[int]) -> list[int]:
    """The wanted results, and the carries that these depend on from round to round."""
    first = node.attrs["sequences"]
    inputs = [n.id for n in body.nodes if n.op == "input"]
    carries = inputs[first : first + node.attrs["carries"]]
    needed: Set[int] = set(wanted)
    while True:
        live = live_nodes(Graph(body.nodes, tuple(body.outputs[i] for i in sorted(needed))))
        more = needed | {i for i, id in enumerate(carries) if id in live}
        if more == needed:
            return sorted(needed)
        needed = more


def _is_carry(node: Node, operand: int, results: Collection[int]) -> bool:
    """Whether the operand starts a carry that is among the results."""
    carry = operand - node.attrs["sequences"]
    return 0 <= carry < node.attrs["carries"] and carry in results


def _trim_attrs(node: Node, stays: Sequence[bool], results: Sequence[int]) -> dict[str, Any]:
    sequences, carries = node.attrs["sequences"], node.attrs["carries"]
    yields = [i - carries for i in results if i >= carries]
    return {
        **node.attrs,
        "sequences": sum(stays[:sequences]),
        "carries": sum(i < carries for i in results),
        "axes": _pick(node.attrs["axes"], stays[:sequences]),
        "yield_axes": tuple(node.attrs["yield_axes"][i] for i in yields),
    }


def _rename(body: Graph, attrs: dict[str, Any]) -> Graph:
    """The body with its inputs and outputs numbered without gaps again."""
    letters = "x" * attrs["sequences"] + "c" * attrs["carries"]
    inputs = [n.id for n in body.nodes if n.op == "input"]
    names = dict(zip(inputs, numbered(letters + "k" * (len(inputs) - len(letters))), strict=True))
    nodes = tuple(
        replace(n, attrs={"name": names[n.id]}) if n.id in names else n for n in body.nodes
    )
    carries = attrs["carries"]
    output_names = numbered("c" * carries + "y" * (len(body.outputs) - carries))
    pairs = zip(output_names, body.outputs, strict=True)
    return Graph(nodes, tuple(Output(name, output.value) for name, output in pairs))


def _pick(items: Sequence[T], stays: Sequence[bool]) -> tuple[T, ...]:
    return tuple(compress(items, stays))
