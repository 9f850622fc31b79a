"""Simplify: identities of arithmetic and of moving data, applied until nothing changes.

A rule must keep every value but for rounding; NaN and infinities too, so `0 * x` stays, for it
is not 0 where `x` is infinite. Only the sign of a zero may change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node
from flowc.graph.walk import in_bodies
from flowc.passes.fold import fold_node
from flowc.passes.rules_arithmetic import ARITHMETIC
from flowc.passes.rules_broadcast import drop_broadcasts, sink_broadcasts
from flowc.passes.rules_movement import MOVEMENT
from flowc_runtime.ops import CATALOG

# Gives a value of the node's type that is as good as its result, or None where it does not apply.
Rule = Callable[[Builder, Node, tuple[Value, ...]], Value | None]

MAX_ROUNDS = 12  # what one round uncovers, the next one sees; longer chains are not met

_ELEMENTWISE: tuple[Rule, ...] = (drop_broadcasts, sink_broadcasts)
_RULES: dict[str, tuple[Rule, ...]] = {
    name: (*ARITHMETIC.get(name, ()), *MOVEMENT.get(name, ()))
    + (_ELEMENTWISE if op.elementwise else ())
    for name, op in CATALOG.items()
}


def simplify(graph: Graph) -> Graph:
    graph = in_bodies(simplify, graph)
    for _ in range(MAX_ROUNDS):
        before, graph = graph, rebuild(graph, _rewrite)
        if graph == before:
            break
    return graph


def _rewrite(builder: Builder, node: Node, operands: tuple[Value, ...]) -> Sequence[Value] | None:
    for rule in _RULES.get(node.op, ()):
        value = rule(builder, node, operands)
        if value is not None:
            return (value,)
    return fold_node(builder, node, operands)
