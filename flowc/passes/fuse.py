"""Fuse: elementwise ops and reductions of rows that hang together become one kernel.

A tensor that only the kernel itself needs never reaches memory. The nodes of a kernel become one
`fused` node; its attributes are the kernel's lines (`expression.py` says how they read) and the
shape that they iterate over.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os.path import commonprefix

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Origin, Output, Ref, Update
from flowc.graph.walk import in_bodies
from flowc.passes.clusters import run_order
from flowc.passes.groups import Group, Grouping, group_nodes
from flowc.passes.kernels import Kernel, base, result_type, write_kernel
from flowc.passes.recompute import recomputed
from flowc_runtime.ops.rules import Shape


def fuse(graph: Graph) -> Graph:
    graph = in_bodies(fuse, graph)
    grouping = group_nodes(graph)
    again = recomputed(graph, grouping)
    members = _members(graph, grouping)
    order = run_order(members, _needs(graph, grouping, members, again))
    kernels = _write_kernels(graph, grouping, order, again)
    return _Emitter(graph, grouping, kernels).emit(order)


def _members(graph: Graph, grouping: Grouping) -> dict[int, list[int]]:
    """The nodes of each cluster; a leaf is a cluster by itself."""
    members: dict[int, list[int]] = {}
    for node in graph.nodes:
        members.setdefault(grouping.cluster_of.get(node.id, node.id), []).append(node.id)
    return members


def _needs(
    graph: Graph, grouping: Grouping, members: Mapping[int, list[int]], again: frozenset[int]
) -> dict[int, set[int]]:
    """For each cluster the others that it takes values from."""
    cluster_of = grouping.cluster_of
    needs: dict[int, set[int]] = {}
    for cluster, ids in members.items():
        sources: set[int] = set()
        open_nodes = [ref.node for id in ids for ref in graph.nodes[id].operands]
        while open_nodes:
            source = open_nodes.pop()
            sources.add(cluster_of.get(source, source))
            if source in again and cluster_of[source] != cluster:
                open_nodes += [ref.node for ref in graph.nodes[source].operands]
        needs[cluster] = sources - {cluster}
    return needs


def _write_kernels(
    graph: Graph, grouping: Grouping, order: list[int], again: frozenset[int]
) -> dict[int, Kernel]:
    """The kernel of each group, from the last one to the first: readers say what is wanted."""
    wanted = set(graph.roots)
    kernels: dict[int, Kernel] = {}
    for cluster in reversed(order):
        group = grouping.groups.get(cluster)
        if group is None:
            wanted.update(graph.nodes[cluster].operands)
        else:
            kernels[cluster] = write_kernel(graph, group, again, wanted)
            wanted.update(ref for ref, _ in kernels[cluster].operands)
    return kernels


class _Emitter:
    """Builds the graph of kernels and of the nodes that stay as they are."""

    def __init__(self, graph: Graph, grouping: Grouping, kernels: Mapping[int, Kernel]) -> None:
        self.graph = graph
        self.grouping = grouping
        self.kernels = kernels
        self.builder = Builder()
        self.moved: dict[Ref, Ref] = {}

    def emit(self, order: list[int]) -> Graph:
        for cluster in order:
            if cluster in self.kernels:
                self._emit_group(self.grouping.groups[cluster], self.kernels[cluster])
            else:
                self._copy(self.graph.nodes[cluster])
        updates = self.graph.updates
        return self.builder.finish(
            [Output(o.name, self.moved[o.value]) for o in self.graph.outputs],
            [Update(self.moved[Ref(u.variable)].node, self.moved[u.value]) for u in updates],
        )

    def _copy(self, node: Node) -> tuple[Value, ...]:
        values = self.builder.copy(node, tuple(self.moved[ref] for ref in node.operands))
        self.moved |= {Ref(node.id, i): value.ref for i, value in enumerate(values)}
        return values

    def _emit_group(self, group: Group, kernel: Kernel) -> None:
        if not kernel.results:
            return  # all of it is computed again elsewhere
        if kernel.is_single_op:
            values = self._copy(self.graph.nodes[kernel.results[0]])
        else:
            values = self._emit_kernel(group, kernel)
        results = dict(zip(kernel.results, values, strict=True))
        for id in group.forms:
            value = results.get(base(self.graph, id))
            if value is not None:
                with self.builder.at(self.graph.nodes[id].origin):
                    shape = self.graph.nodes[id].type.shape
                    self.moved[Ref(id)] = self._reshaped(value, shape).ref

    def _emit_kernel(self, group: Group, kernel: Kernel) -> tuple[Value, ...]:
        members = [self.graph.nodes[id] for id in group.forms]
        with self.builder.at(_origin(members)):
            operands = [
                self._reshaped(self.builder.value(self.moved[ref]), type.shape).ref
                for ref, type in kernel.operands
            ]
            attrs = {"lines": tuple(map(str, kernel.lines)), "shape": group.shape}
            nodes = [self.graph.nodes[id] for id in kernel.results]
            types = tuple(result_type(n, group.forms[n.id]) for n in nodes)
            return self.builder.append("fused", tuple(operands), attrs, types)

    def _reshaped(self, value: Value, shape: Shape) -> Value:
        return value if value.type.shape == shape else self.builder("reshape", value, shape=shape)


def _origin(members: Sequence[Node]) -> Origin:
    """The place of the last member, and the path that all of them lie under."""
    paths = [node.origin.path.split(".") for node in members]
    return Origin(members[-1].origin.span, ".".join(commonprefix(paths)))
