"""Partitioning: a graph whose nodes have roles becomes one graph a role, and the values between.

A node without a role (inputs, constants, what depends on the number of the step alone) is
computed wherever it is used. A value that another role needs is sent there once, however many
nodes use it. Every role keeps the order of the whole graph, so no two can wait for each other in
a circle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Output, Ref, Update
from flowc_runtime.types import TensorType

ANYWHERE = ""  # the role of what each role computes for itself


@dataclass(frozen=True, slots=True)
class Crossing:
    """A value that `producer` sends to `consumer`: an output there and an input here."""

    name: str
    producer: str
    consumer: str
    type: TensorType


@dataclass(frozen=True)
class Partition:
    """The graphs by role, and what crosses, in the order of the producing nodes."""

    graphs: Mapping[str, Graph]
    crossings: tuple[Crossing, ...]


def partition(graph: Graph, role_of: Mapping[int, str], prefix: str) -> Partition:
    """Cuts the graph; `role_of` says of nodes where they run, `prefix` begins what crosses.

    An update runs where its variable is, and an output where its value is.
    """
    cut = _Cut(graph, role_of, prefix)
    for node in graph.nodes:
        if node.id in role_of:
            cut.place(node, role_of[node.id])
    for output in graph.outputs:
        cut.output(output)
    for update in graph.updates:
        cut.update(update)
    return cut.finish()


@dataclass
class _Share:
    """A role's graph under construction."""

    builder: Builder = field(default_factory=Builder)
    moved: dict[Ref, Value] = field(default_factory=dict)
    outputs: list[Output] = field(default_factory=list)
    updates: list[Update] = field(default_factory=list)


class _Cut:
    def __init__(self, graph: Graph, role_of: Mapping[int, str], prefix: str):
        self._graph = graph
        self._prefix = prefix
        self._role_of = role_of
        self._shares: dict[str, _Share] = {}
        self._crossings: list[Crossing] = []

    def place(self, node: Node, role: str) -> None:
        share = self._share(role)
        operands = tuple(self._value(role, ref).ref for ref in node.operands)
        values = share.builder.copy(node, operands)
        share.moved.update({Ref(node.id, k): value for k, value in enumerate(values)})

    def output(self, output: Output) -> None:
        role = self._role_of.get(output.value.node) or next(iter(self._shares))
        value = self._value(role, output.value)
        self._share(role).outputs.append(Output(output.name, value.ref))

    def update(self, update: Update) -> None:
        role = self._role_of[update.variable]
        share = self._share(role)
        variable = self._value(role, Ref(update.variable))
        share.updates.append(Update(variable.ref.node, self._value(role, update.value).ref))

    def finish(self) -> Partition:
        order = {role: share for role, share in sorted(self._shares.items())}
        graphs = {r: s.builder.finish(s.outputs, s.updates) for r, s in order.items()}
        return Partition(graphs, tuple(self._crossings))

    def _share(self, role: str) -> _Share:
        return self._shares.setdefault(role, _Share())

    def _value(self, role: str, ref: Ref) -> Value:
        """The value in the role's graph: made there, a leaf copied, or received."""
        share = self._share(role)
        if ref not in share.moved:
            node = self._graph.nodes[ref.node]
            producer = self._role_of.get(ref.node, ANYWHERE)
            if producer in (ANYWHERE, role):
                operands = tuple(self._value(role, o).ref for o in node.operands)
                values = share.builder.copy(node, operands)
                share.moved.update({Ref(node.id, k): v for k, v in enumerate(values)})
            else:
                share.moved[ref] = self._receive(share, role, producer, ref)
        return share.moved[ref]

    def _receive(self, share: _Share, role: str, producer: str, ref: Ref) -> Value:
        name, type = f"{self._prefix}.{ref.node}.{ref.result}", self._graph.type_of(ref)
        sender = self._share(producer)
        if all(o.name != name for o in sender.outputs):
            sender.outputs.append(Output(name, sender.moved[ref].ref))
        self._crossings.append(Crossing(name, producer, role, type))
        return share.builder.input(name, type)
