"""Reverse-mode differentiation: a graph with a loss gets the gradients of its parameters.

Each op's own rule gives the cotangents of its operands from those of its results; the loop here
adds up what flows into one value from several users (Griewank and Walther, Evaluating
Derivatives, 2008, chapter 3). A scan is differentiated by a scan backwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from flowc.autodiff.loops import through_scan
from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Output, Ref
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Forward
from flowc_runtime.types import FLOATS

Blame = Callable[[Node], None]  # told of a node that has no derivative but would need one


def differentiate(graph: Graph, loss: Ref, wrt: Mapping[str, Ref], blame: Blame) -> Graph:
    """The graph with an output `gradient.PATH` for each of `wrt` that the loss depends on."""
    builder = Builder(list(graph.nodes))
    one = builder.constant(1.0, graph.type_of(loss))
    gradients = backpropagate(builder, {loss: one}, list(wrt.values()), blame)
    outputs = [
        Output(f"gradient.{path}", gradients[ref].ref)
        for path, ref in wrt.items()
        if ref in gradients
    ]
    return builder.finish([*graph.outputs, *outputs], graph.updates)


def backpropagate(
    builder: Builder, seeds: Mapping[Ref, Value], wrt: Iterable[Ref], blame: Blame
) -> dict[Ref, Value]:
    """Appends the backward pass; the cotangents of those of `wrt` that anything flows into."""
    wanted = set(wrt)
    active = _depends_on(builder.nodes, wanted)
    cotangents: dict[Ref, Value] = {}
    for ref, value in seeds.items():
        _add(builder, cotangents, ref, value)
    for id in range(max((r.node for r in seeds), default=-1), -1, -1):
        node = builder.nodes[id]
        results = [Ref(id, i) for i in range(len(node.types))]
        flowing = tuple(cotangents.get(r) for r in results)
        if id not in active or all(c is None for c in flowing) or not node.operands:
            continue
        with builder.at(replace(node.origin, path=f"{node.origin.path}'")):
            for ref, cotangent in _through(builder, node, flowing, active, blame):
                _add(builder, cotangents, ref, cotangent)
    return {ref: cotangents[ref] for ref in wanted if ref in cotangents}


def _depends_on(nodes: list[Node], wanted: set[Ref]) -> set[int]:
    """The nodes whose values change when one of `wanted` changes."""
    active = {ref.node for ref in wanted}
    for node in nodes:
        if any(ref.node in active for ref in node.operands):
            active.add(node.id)
    return active


def _add(builder: Builder, cotangents: dict[Ref, Value], ref: Ref, value: Value) -> None:
    known = cotangents.get(ref)
    cotangents[ref] = value if known is None else builder("add", known, value)


def _through(
    builder: Builder,
    node: Node,
    flowing: tuple[Value | None, ...],
    active: set[int],
    blame: Blame,
) -> list[tuple[Ref, Value]]:
    """What flows on to each operand that matters."""
    if node.op == "scan":
        return through_scan(
            builder, node, flowing, active,
            lambda inner, seeds, wrt: backpropagate(inner, seeds, wrt, blame),
        )  # fmt: skip
    matters = [
        ref.node in active and builder.nodes[ref.node].types[ref.result].dtype in FLOATS
        for ref in node.operands
    ]
    if not any(matters):
        return []
    rule = CATALOG[node.op].gradient
    if rule is None:
        blame(node)
        return []
    forward = Forward(
        tuple(builder.value(r) for r in node.operands),
        tuple(builder.value(Ref(node.id, i)) for i in range(len(node.types))),
        node.attrs,
    )
    cotangents = rule(builder, forward, flowing)
    return [
        (ref, cotangent)
        for ref, matter, cotangent in zip(node.operands, matters, cotangents, strict=True)
        if matter and cotangent is not None
    ]
