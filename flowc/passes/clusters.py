"""A partition of nodes into clusters that can be run one after the other: no cycles among them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

# Clusters of different segments are never merged, which bounds the sets below: at most this many
# numbers of this many bits, whatever the size of the graph.
SEGMENT_NODES = 8192


@dataclass
class Clusters:
    """Grows node by node, in topological order; a cluster is named by one of its nodes.

    For each cluster: the nodes that it takes values from, the nodes that take values from it,
    and two sets of nodes as bits: its own, and those of all the clusters that it waits for.
    """

    _segment: int = 0
    _parent: dict[int, int] = field(default_factory=dict)
    _operands: dict[int, set[int]] = field(default_factory=dict)
    _users: dict[int, set[int]] = field(default_factory=dict)
    _own: dict[int, int] = field(default_factory=dict)
    _waits: dict[int, int] = field(default_factory=dict)

    def add(self, node: int, operands: Iterable[int]) -> None:
        """Puts a node into a cluster of its own. Operands that are in no cluster do not count."""
        if node - self._segment >= SEGMENT_NODES:
            self._segment = node
        self._parent[node] = node
        self._operands[node] = {o for o in operands if o in self._parent}
        self._users[node] = set()
        self._own[node] = 1 << (node - self._segment)
        self._waits[node] = 0
        for operand in map(self.find, self._operands[node]):
            self._users[operand].add(node)
            if operand >= self._segment:
                self._waits[node] |= self._own[operand] | self._waits[operand]

    def find(self, node: int) -> int:
        """The name of the node's cluster."""
        while self._parent[node] != node:
            self._parent[node] = self._parent[self._parent[node]]
            node = self._parent[node]
        return node

    def merge(self, a: int, b: int) -> bool:
        """Makes one cluster of two, unless a third would have to run between them."""
        a, b = sorted((self.find(a), self.find(b)))
        if a == b:
            return True
        if a < self._segment or self._between(a, b) or self._between(b, a):
            return False
        self._parent[b] = a
        self._operands[a] |= self._operands.pop(b)
        self._users[a] |= self._users.pop(b)
        self._own[a] |= self._own.pop(b)
        self._waits[a] = (self._waits[a] | self._waits.pop(b)) & ~self._own[a]
        self._spread(a)
        return True

    def _between(self, first: int, last: int) -> bool:
        """Whether `last` takes a value of some other cluster that waits for `first`."""
        others = {self.find(o) for o in self._operands[last]} - {first, last}
        return any(
            other >= self._segment and self._waits[other] & self._own[first] for other in others
        )

    def _spread(self, cluster: int) -> None:
        """Who waits for the cluster waits for what that one waits for."""
        open_clusters = [cluster]
        while open_clusters:
            current = open_clusters.pop()
            bits = self._waits[current] | self._own[current]
            for user in {self.find(u) for u in self._users[current]} - {current}:
                if bits & ~self._waits[user]:
                    self._waits[user] |= bits
                    open_clusters.append(user)


def run_order(members: Mapping[int, Sequence[int]], needs: Mapping[int, set[int]]) -> list[int]:
    """The clusters in an order in which each finds what it needs, else that of their last nodes.

    `members` gives each cluster's nodes, `needs` the clusters that it takes values from.
    """
    users: dict[int, list[int]] = {cluster: [] for cluster in members}
    missing = {cluster: len(needs[cluster]) for cluster in members}
    for cluster, needed in needs.items():
        for other in needed:
            users[other].append(cluster)
    ready = [(members[c][-1], c) for c, count in missing.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, cluster = heapq.heappop(ready)
        order.append(cluster)
        for user in users[cluster]:
            missing[user] -= 1
            if missing[user] == 0:
                heapq.heappush(ready, (members[user][-1], user))
    return order
