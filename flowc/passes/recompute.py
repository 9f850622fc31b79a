"""Which values each kernel computes for itself rather than reading them from another's output.

Adding a bias or comparing again costs less than writing a tensor to memory and reading it back;
so a cheap value is not stored if its readers need no more memory traffic without it. What is
dear (`exp`, `tanh`, a division, a reduction) is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping
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
    chooser = _Chooser(graph, grouping)
    for group in grouping.groups.values():
        chooser.drop_outputs(group)
        chooser.exchange_outputs(group)
    return frozenset(chooser.chosen)


class _Chooser:
    def __init__(self, graph: Graph, grouping: Grouping) -> None:
        self.graph = graph
        self.grouping = grouping
        self.users = users(graph)
        self.roots = {ref.node for ref in graph.roots}
        self.chosen: set[int] = set()
        self.added: set[int] = set()  # members that became outputs for the sake of others
        self.reads = {c: self._external(g) for c, g in grouping.groups.items()}

    def drop_outputs(self, group: Group) -> None:
        """Chooses cheap outputs one by one."""
        for id in self._cheap_outputs(group):
            self._choose({id: self._recipe(id, group)}, group)

    def exchange_outputs(self, group: Group) -> None:
        """Stores a dear value instead of several outputs that are cheap to get from it."""
        for id, form in group.forms.items():
            node = self.graph.nodes[id]
            if form is not Form.FULL or node.op in CHEAP or self._is_stored(id):
                continue
            self.added.add(id)
            recipes = {o: self._recipe(o, group) for o in self._cheap_outputs(group)}
            gained = {o: r for o, r in recipes.items() if r is not None and Ref(id) in r.reads}
            saved = sum(_width(self.graph.nodes[o]) for o in gained)
            if saved <= _width(node) or not self._choose(gained, group):
                self.added.remove(id)

    def _choose(self, recipes: Mapping[int, _Recipe | None], group: Group) -> bool:
        """Takes the recipes if no reader of these outputs then reads more than before."""
        known = {Ref(o): recipe for o, recipe in recipes.items() if recipe is not None}
        changed: dict[int, set[Ref]] = {}
        for cluster, before in self.reads.items():
            dropped = before & known.keys()
            if dropped:
                new = set().union(*(known[ref].reads for ref in dropped))
                changed[cluster] = (before - dropped) | new
                if self._bytes(changed[cluster], group) > self._bytes(before, group):
                    return False
        self.reads |= changed
        self.chosen.update(*(recipe.nodes for recipe in known.values()))
        return bool(known)

    def _cheap_outputs(self, group: Group) -> list[int]:
        """Outputs that only kernels of the same shape read."""
        ids = [id for id in group.forms if self._is_cheap(id, group) and self._is_stored(id)]
        return [id for id in ids if id not in self.roots and self._fits_readers(id, group)]

    def _fits_readers(self, id: int, group: Group) -> bool:
        clusters = {self.grouping.cluster_of[user.id] for user in self.users[Ref(id)]}
        readers = [self.grouping.groups.get(cluster) for cluster in clusters]
        return all(reader is not None and reader.shape == group.shape for reader in readers)

    def _recipe(self, id: int, group: Group) -> _Recipe | None:
        """How to compute a cheap member again, from what is in memory anyway."""
        recipe, open_nodes = _Recipe(), [id]
        while open_nodes:
            current = open_nodes.pop()
            recipe.nodes.add(current)
            if not self._is_cheap(current, group) or len(recipe.nodes) > MAX_LINES:
                return None
            for ref in self.graph.nodes[current].operands:
                if self.graph.nodes[ref.node].op == "const" or ref.node in recipe.nodes:
                    continue
                if group.forms.get(ref.node) is not Form.FULL or self._is_stored(ref.node):
                    recipe.reads.add(ref)
                else:
                    open_nodes.append(ref.node)
        return recipe

    def _is_cheap(self, id: int, group: Group) -> bool:
        return self.graph.nodes[id].op in CHEAP and group.forms[id] is Form.FULL

    def _is_stored(self, id: int) -> bool:
        """Whether a member is an output of its kernel."""
        if id in self.chosen:
            return False
        own = self.grouping.cluster_of[id]
        outside = any(self.grouping.cluster_of[user.id] != own for user in self.users[Ref(id)])
        return outside or id in self.roots or id in self.added

    def _bytes(self, reads: set[Ref], group: Group) -> int:
        """Bytes per element of the iteration shape; what is smaller than that is for free."""
        types = [self.graph.type_of(ref) for ref in reads]
        return sum(DTYPES[type.dtype].bytes for type in types if type.shape == group.shape)

    def _external(self, group: Group) -> set[Ref]:
        members = (self.graph.nodes[id] for id in group.forms)
        return {ref for m in members for ref in m.operands if ref.node not in group.forms}


def _width(node: Node) -> int:
    return DTYPES[node.type.dtype].bytes
