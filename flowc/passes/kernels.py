"""From a group of nodes to the lines of its kernel."""

from __future__ import annotations

from collections.abc import Collection, Set
from dataclasses import dataclass, field

from flowc.graph.graph import Graph, Node, Ref
from flowc.passes.constants import Number, const_number
from flowc.passes.groups import ROW_OF, Form, Group
from flowc_runtime.expression import Arg, Line
from flowc_runtime.types import TensorType


@dataclass
class Kernel:
    """A kernel under construction.

    `operands` are values of the graph, each with the shape in which the kernel sees it;
    `results` are nodes of the group, in the order of `o0..`.
    """

    lines: list[Line] = field(default_factory=list)
    operands: dict[tuple[Ref, TensorType], str] = field(default_factory=dict)
    results: list[int] = field(default_factory=list)

    @property
    def is_single_op(self) -> bool:
        """Whether a plain node would do as well: one line, and no number in it."""
        return len(self.lines) == 1 and not any(not isinstance(a, str) for a in self.lines[0].args)


def write_kernel(graph: Graph, group: Group, again: Set[int], wanted: Collection[Ref]) -> Kernel:
    """The kernel of `group` that gives those of its members that are in `wanted`.

    It computes nodes of `again`, though they belong to other groups, for itself.
    """
    writer = _Writer(graph, group, again)
    results = {base(graph, id) for id in group.forms if Ref(id) in wanted} - again
    for id in sorted(writer.needed(results)):
        writer.write(graph.nodes[id], id in results)
    return writer.kernel


def base(graph: Graph, id: int) -> int:
    """The member whose line a member's value is: its own, or what its reshapes began with."""
    while graph.nodes[id].op == "reshape":
        id = graph.nodes[id].operands[0].node
    return id


def result_type(node: Node, form: Form) -> TensorType:
    """The type of a member as a result of its kernel."""
    shape = (*node.type.shape, 1) if form is Form.FLAT else node.type.shape
    return TensorType(node.type.dtype, shape)


class _Writer:
    def __init__(self, graph: Graph, group: Group, again: Set[int]) -> None:
        self.graph = graph
        self.group = group
        self.again = again
        self.kernel = Kernel()
        self.names: dict[int, str] = {}

    def needed(self, results: Collection[int]) -> set[int]:
        """The nodes that must have a line for the results."""
        found: set[int] = set()
        open_nodes = list(results)
        while open_nodes:
            id = open_nodes.pop()
            if id not in found:
                found.add(id)
                operands = (ref.node for ref in self.graph.nodes[id].operands)
                open_nodes += [base(self.graph, o) for o in operands if self._is_inside(o)]
        return found

    def write(self, node: Node, is_result: bool) -> None:
        args = self._args(node)
        if is_result:
            name = f"o{len(self.kernel.results)}"
            self.kernel.results.append(node.id)
        else:
            name = f"t{len(self.kernel.lines) - len(self.kernel.results)}"
        is_row = node.op in ROW_OF
        line = Line(name, ROW_OF.get(node.op, node.op), args, {} if is_row else node.attrs)
        self.kernel.lines.append(line)
        self.names[node.id] = name

    def _is_inside(self, id: int) -> bool:
        return id in self.group.forms or id in self.again

    def _args(self, node: Node) -> tuple[Arg, ...]:
        literals = _literals(self.graph, node)
        return tuple(
            literals[i] if i in literals else self._name(ref, node)
            for i, ref in enumerate(node.operands)
        )

    def _name(self, ref: Ref, consumer: Node) -> str:
        if self._is_inside(ref.node):
            return self.names[base(self.graph, ref.node)]
        type = self.graph.type_of(ref)
        flat = self.group.forms.get(consumer.id) is Form.FLAT and consumer.op not in ROW_OF
        if flat and type.shape:
            type = TensorType(type.dtype, (*type.shape, 1))
        return self.kernel.operands.setdefault((ref, type), f"i{len(self.kernel.operands)}")


def _literals(graph: Graph, node: Node) -> dict[int, Number]:
    """Operands that are numbers in the line, by position.

    One that is none must remain: a number takes its dtype, and a stretched result its shape.
    """
    first = 1 if node.op == "where" else 0
    found: dict[int, Number] = {}
    for position, ref in enumerate(node.operands[first:], first):
        source = graph.nodes[ref.node]
        number = const_number(source) if source.op == "const" and not source.type.shape else None
        if number is not None:
            found[position] = number
    if len(found) == len(node.operands) - first:
        found.pop(first)
    return found
