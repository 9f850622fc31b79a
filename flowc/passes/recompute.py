"""Which values each kernel computes for itself rather than reading them from another's output.

Adding a bias or comparing again costs less than writing a tensor to memory and reading it back;
so a cheap value is not stored if its readers need no more memory traffic without it. What is
dear (`exp`, `tanh`, a division, a reduction) is computed once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from flowc.graph.graph import Graph, Node, Ref
from flowc.graph.walk import users
from flowc.passes.groups import Form, Group, Grouping
from flowc_runtime.types import DTYPES

MAX_LINES = 4  # that computing a value again may take
CHEAP = {
    "add", "sub", "mul", "neg", "abs", "maximum", "minimum", "where", "cast", "equal",
    "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or",
    "logical_not",
}  # fmt: skip


@dataclass
class _Recipe:
    """What it takes to compute a value: the nodes that become lines, and the values read."""

    nodes: set[int] = field(default_factory=set)
    reads: set[Ref] = field(default_factory=set)


def recomputed(graph: Graph, grouping: Grouping) -> frozenset[int]:
    """The nodes that every group which needs them computes for itself."""
    return frozenset(_Chooser(graph, grouping).choose())


class _Chooser:
    def __init__(self, graph: Graph, grouping: Grouping) -> None:
        self.graph = graph
        self.grouping = grouping
        self.users = users(graph)
        self.roots = {ref.node for ref in graph.roots}
        self.chosen: set[int] = set()
        self.reads = {c: self._external(g) for c, g in grouping.groups.items()}

    def choose(self) -> set[int]:
        for node in self.graph.nodes:
            group = self.grouping.group_of(node.id)
            if group is not None and self._is_cheap(node, group):
                self._consider(node, group)
        return self.chosen

    def _consider(self, node: Node, group: Group) -> None:
        readers = self._readers(node, group)
        recipe = self._recipe(node, group) if readers else None
        if recipe is None:
            return
        if all(self._traffic(recipe, group, reader) <= _width(node) for reader in readers):
            self.chosen |= recipe.nodes
            for reader in readers:
                self.reads[reader] |= recipe.reads

    def _readers(self, node: Node, group: Group) -> Sequence[int]:
        """The other groups that read the value; none if something else than a kernel needs it."""
        own = self.grouping.cluster_of[node.id]
        clusters = {self.grouping.cluster_of[u.id] for u in self.users[Ref(node.id)]} - {own}
        for cluster in clusters:
            other = self.grouping.groups.get(cluster)
            if other is None or other.shape != group.shape:
                return ()
        return () if node.id in self.roots else sorted(clusters)

    def _recipe(self, node: Node, group: Group) -> _Recipe | None:
        """How to compute a cheap member again, from what is in memory anyway."""
        recipe, open_nodes = _Recipe(), [node]
        while open_nodes:
            current = open_nodes.pop()
            recipe.nodes.add(current.id)
            for ref in current.operands:
                source = self.graph.nodes[ref.node]
                form = group.forms.get(ref.node)
                if source.op == "const" or source.id in recipe.nodes:
                    continue
                if form is not Form.FULL or self._is_stored(source):
                    recipe.reads.add(ref)
                else:
                    open_nodes.append(source)
            if not self._is_cheap(current, group) or len(recipe.nodes) > MAX_LINES:
                return None
        return recipe

    def _is_cheap(self, node: Node, group: Group) -> bool:
        return node.op in CHEAP and group.forms[node.id] is Form.FULL

    def _is_stored(self, node: Node) -> bool:
        """Whether a member is an output of its kernel in any case."""
        if node.id in self.chosen:
            return False
        own = self.grouping.cluster_of[node.id]
        outside = any(self.grouping.cluster_of[u.id] != own for u in self.users[Ref(node.id)])
        return outside or node.id in self.roots

    def _traffic(self, recipe: _Recipe, group: Group, reader: int) -> int:
        """Bytes per element of the iteration shape that the reader would read in addition."""
        new = recipe.reads - self.reads[reader]
        types = [self.graph.type_of(ref) for ref in new]
        return sum(DTYPES[type.dtype].bytes for type in types if type.shape == group.shape)

    def _external(self, group: Group) -> set[Ref]:
        members = (self.graph.nodes[id] for id in group.forms)
        return {ref for m in members for ref in m.operands if ref.node not in group.forms}


def _width(node: Node) -> int:
    return DTYPES[node.type.dtype].bytes
