"""Which nodes share a kernel: elementwise ops and reductions of rows over one iteration shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum

from flowc.graph.graph import Graph, Node, Ref
from flowc.passes.clusters import Clusters
from flowc_runtime.expression import ROW_OPS
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.rules import Shape

MAX_MEMBERS = 256  # more would only make a kernel that is slow to compile
LEAVES = ("input", "variable", "const", "dim")
ROW_OF = {reduce: row for row, reduce in ROW_OPS.items()}


class Form(Enum):
    """How a member's tensor lies in the iteration shape `[.., n]` of its kernel."""

    FULL = "[.., n]"
    ROW = "[.., 1]"
    FLAT = "[..]"  # a row's value whose tensor lacks the last axis; the kernel sees `[.., 1]`


@dataclass
class Group:
    """Nodes of one kernel, by id in topological order."""

    shape: Shape
    forms: dict[int, Form]


@dataclass(frozen=True)
class Grouping:
    """`groups` by cluster; `cluster_of` has every node but the leaves, in a group or not."""

    groups: Mapping[int, Group]
    cluster_of: Mapping[int, int]

    def group_of(self, node: int) -> Group | None:
        cluster = self.cluster_of.get(node)
        return None if cluster is None else self.groups.get(cluster)


def group_nodes(graph: Graph) -> Grouping:
    """Each node joins the groups of its operands where that is possible; a greedy choice."""
    grouper = _Grouper(graph)
    for node in graph.nodes:
        if node.op not in LEAVES:
            grouper.place(node)
    grouper.join_siblings()
    cluster_of = {n.id: grouper.clusters.find(n.id) for n in graph.nodes if n.op not in LEAVES}
    groups = {c: _sorted(g) for c, g in grouper.groups.items()}
    return Grouping(groups, cluster_of)


def _sorted(group: Group) -> Group:
    return Group(group.shape, dict(sorted(group.forms.items())))


@dataclass(frozen=True)
class _Choice:
    """A way for a node to be a member: the iteration shape, and how its result lies in it."""

    shape: Shape
    form: Form


class _Grouper:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.clusters = Clusters()
        self.groups: dict[int, Group] = {}

    def place(self, node: Node) -> None:
        self.clusters.add(node.id, {ref.node for ref in node.operands})
        choices = self._choices(node)
        for choice, partners in choices.items():
            self.groups[node.id] = Group(choice.shape, {node.id: choice.form})
            if [p for p in partners if self._join(node.id, p)]:
                return
        alone = _alone(node, self.graph)
        if alone is not None:
            self.groups[node.id] = Group(alone.shape, {node.id: alone.form})
        else:
            self.groups.pop(node.id, None)

    def join_siblings(self) -> None:
        """Groups that read the same tensor element by element read it together."""
        readers: dict[Ref, list[int]] = {}
        for node in self.graph.nodes:
            group = self._group(node.id)
            for ref in node.operands if group else ():
                if group and self.graph.type_of(ref).shape == group.shape:
                    readers.setdefault(ref, []).append(node.id)
        for first, *others in readers.values():
            for other in others:
                self._join(first, other)

    def _choices(self, node: Node) -> dict[_Choice, list[int]]:
        """The ways to join groups of operands, those that make the node a matter of rows first."""
        found: dict[_Choice, list[int]] = {}
        for ref in dict.fromkeys(ref.node for ref in node.operands):
            group = self._group(ref)
            if group is not None:
                for form in _forms(node, self.graph.nodes[ref], group):
                    found.setdefault(_Choice(group.shape, form), []).append(ref)
        return dict(sorted(found.items(), key=lambda item: item[0].form is Form.FULL))

    def _group(self, node: int) -> Group | None:
        if self.graph.nodes[node].op in LEAVES:
            return None
        return self.groups.get(self.clusters.find(node))

    def _join(self, node: int, partner: int) -> bool:
        a, b = self.clusters.find(node), self.clusters.find(partner)
        if a == b:
            return True
        merged = Group(self.groups[a].shape, self.groups[b].forms | self.groups[a].forms)
        fits = len(merged.forms) <= MAX_MEMBERS and self._edges_hold(merged, a, b)
        if not fits or not self.clusters.merge(a, b):
            return False
        del self.groups[a], self.groups[b]
        self.groups[self.clusters.find(a)] = merged
        return True

    def _edges_hold(self, merged: Group, a: int, b: int) -> bool:
        """Whether each value that one group takes from the other lies as the kernel sees it."""
        return all(
            _edge_holds(self.graph.nodes[producer], self.graph.nodes[consumer], merged)
            for consumer, producer in self._edges_between(a, b)
        )

    def _edges_between(self, a: int, b: int) -> Iterator[tuple[int, int]]:
        for one, other in ((a, b), (b, a)):
            for consumer in self.groups[one].forms:
                for ref in self.graph.nodes[consumer].operands:
                    if ref.node in self.groups[other].forms:
                        yield consumer, ref.node


def _alone(node: Node, graph: Graph) -> _Choice | None:
    """How a node may start a group, if it may."""
    if _is_elementwise(node):
        return _Choice(node.type.shape, Form.FULL)
    if _reduces_rows(node, graph):
        form = Form.ROW if node.attrs["keep"] else Form.FLAT
        return _Choice(graph.type_of(node.operands[0]).shape, form)
    return None


def _forms(node: Node, operand: Node, group: Group) -> Iterator[Form]:
    """The forms in which a node may join the group that `operand` is a member of."""
    shape, lies = node.type.shape, group.forms[operand.id]
    if _is_elementwise(node):
        if lies is not Form.FULL and shape == operand.type.shape:
            yield lies
        if shape == group.shape and (lies is not Form.FLAT or len(shape) == 1):
            yield Form.FULL
    elif node.op == "reshape" and lies is not Form.FULL:
        if shape == (*group.shape[:-1], 1):
            yield Form.ROW
        elif shape == group.shape[:-1]:
            yield Form.FLAT
    elif lies is Form.FULL and node.op in ROW_OF and node.attrs["axes"] == (len(group.shape) - 1,):
        if _can_reduce(operand):
            yield Form.ROW if node.attrs["keep"] else Form.FLAT


def _edge_holds(producer: Node, consumer: Node, group: Group) -> bool:
    return group.forms[consumer.id] in _forms(consumer, producer, group)


def _is_elementwise(node: Node) -> bool:
    return node.op in CATALOG and CATALOG[node.op].elementwise


def _reduces_rows(node: Node, graph: Graph) -> bool:
    if node.op not in ROW_OF:
        return False
    operand = graph.nodes[node.operands[0].node]
    rank = graph.type_of(node.operands[0]).rank
    return node.attrs["axes"] == (rank - 1,) and _can_reduce(operand, node.operands[0].result)


def _can_reduce(operand: Node, result: int = 0) -> bool:
    """Rows of one element or of none are no rows to a kernel."""
    type = operand.types[result]
    return type.rank > 0 and type.shape[-1] not in (0, 1) and type.kind != "bool"
