"""Sparse updates: a table of which a step used few rows is updated in those rows alone.

The gradient of a lookup is a `scatter_add`: a table of zeros but for the rows that were looked up.
Where an optimizer leaves a row as it is if its gradient is zero (`sgd` without momentum or decay,
`adagrad`), its arithmetic is done for the rows that were looked up, and they are put back. The
bits are those of the whole table's update, as long as its numbers are finite: each row meets the
same operations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Ref, Update
from flowc.graph.walk import has_op
from flowc.passes.constants import Number, const_number
from flowc_runtime.dims import Dim
from flowc_runtime.ops import CATALOG

LEAST_SHARE = 4  # rows of a table for each that is looked up, below which nothing is gained

# What is zero if the operand is.
_ODD = ("neg", "abs", "sign", "sqrt", "sin", "tanh", "expm1", "log1p", "stop_gradient", "cast")
_NEVER_BELOW_ZERO = ("sqrt", "abs", "exp")


class _NotByRows(Exception):
    """A value depends on more than the scalars and the same row of other tables."""


def sparse_updates(graph: Graph) -> Graph:
    if not graph.updates or not has_op(graph, "scatter_add"):
        return graph
    builder, updates = Builder(list(graph.nodes)), dict(graph.updates)
    for node in graph.nodes:
        if node.op == "scatter_add" and _has_many_rows(graph, node):
            updates |= _by_rows(graph, node, builder)
    if updates == dict(graph.updates):
        return graph
    return builder.finish(graph.outputs, [Update(*pair) for pair in updates.items()])


def _has_many_rows(graph: Graph, scatter: Node) -> bool:
    looked_up, rows = graph.type_of(scatter.operands[0]).size, scatter.type.shape[0]
    if not isinstance(looked_up, int) or not isinstance(rows, int):
        return False
    return LEAST_SHARE * looked_up <= rows


def _by_rows(graph: Graph, scatter: Node, builder: Builder) -> Mapping[int, Ref]:
    """New values for the variables that the gradient reaches; none if any of them needs it all."""
    reached = _reached(graph, scatter)
    changes = [update for update in graph.updates if update.value.node in reached]
    if not _elementwise(graph, scatter, reached):
        return {}
    if any(_AtZero(graph, scatter, reached).of(u.value) != Ref(u.variable) for u in changes):
        return {}
    rows = _Rows(graph, scatter, builder)
    try:
        new = [(update, rows.of(update.value)) for update in changes]
    except _NotByRows:
        return {}
    return {
        u.variable: builder("put_rows", builder.value(Ref(u.variable)), rows.index, value).ref
        for u, value in new
    }


def _reached(graph: Graph, scatter: Node) -> frozenset[int]:
    """The nodes that depend on the gradient, itself included."""
    reached = {scatter.id}
    for node in graph.nodes[scatter.id + 1 :]:
        if any(ref.node in reached for ref in node.operands):
            reached.add(node.id)
    return frozenset(reached)


def _elementwise(graph: Graph, scatter: Node, reached: frozenset[int]) -> bool:
    """Whether the gradient is used element by element, and for nothing but updates."""
    if any(output.value.node in reached for output in graph.outputs):
        return False
    nodes = (graph.nodes[i] for i in reached if i != scatter.id)
    return all(_is_elementwise(n) and n.type.shape == scatter.type.shape for n in nodes)


def _is_elementwise(node: Node) -> bool:
    return node.op in CATALOG and CATALOG[node.op].elementwise


@dataclass
class _AtZero:
    """What values would be in a row without a gradient."""

    graph: Graph
    scatter: Node
    reached: frozenset[int]
    known: dict[Ref, Ref | None] = field(default_factory=dict)

    @property
    def zero(self) -> Ref:
        """The gradient itself stands for zero."""
        return Ref(self.scatter.id)

    def of(self, ref: Ref) -> Ref | None:
        """The value that this one would equal; None if that is not known."""
        if ref.node not in self.reached:
            return ref
        if ref not in self.known:
            node = self.graph.nodes[ref.node]
            self.known[ref] = self.zero if node is self.scatter else self._computed(node)
        return self.known[ref]

    def _computed(self, node: Node) -> Ref | None:
        values = [self.of(operand) for operand in node.operands]
        zeros = [value == self.zero for value in values]
        match node.op:
            case "mul" if any(zeros):
                return self.zero
            case "div" if zeros[0] and _is_positive(self.graph, node.operands[1]):
                return self.zero
            case "add" if any(zeros):
                return values[1] if zeros[0] else values[0]
            case "sub" if zeros[1]:
                return values[0]
            case "where" if zeros[1] and zeros[2]:
                return self.zero
            case "maximum" | "minimum" if any(zeros):
                return self._held(node, zeros)
            case op if op in _ODD and zeros[0]:
                return self.zero
        return None

    def _held(self, node: Node, zeros: list[bool]) -> Ref | None:
        """Zero held by a bound that it keeps, such as `clip_value`."""
        number = _number(self.graph, node.operands[1 if zeros[0] else 0])
        if number is None or (number > 0 if node.op == "maximum" else number < 0):
            return None
        return self.zero


def _number(graph: Graph, ref: Ref) -> Number | None:
    node = graph.nodes[ref.node]
    return const_number(node) if node.op == "const" else None


def _is_positive(graph: Graph, ref: Ref) -> bool:
    """Whether a divisor is seen to be above zero: `sqrt(x) + eps`, say."""
    node = graph.nodes[ref.node]
    if node.op not in ("add", "maximum"):
        return (_number(graph, ref) or 0) > 0
    for one, other in (node.operands, node.operands[::-1]):
        if (_number(graph, one) or 0) > 0:
            return node.op == "maximum" or graph.nodes[other.node].op in _NEVER_BELOW_ZERO
    return False


@dataclass
class _Rows:
    """Values of the table's shape in the rows that were looked up, computed anew."""

    graph: Graph
    scatter: Node
    builder: Builder
    known: dict[Ref, Value] = field(default_factory=dict)

    @property
    def index(self) -> Value:
        return self.builder.value(self.scatter.operands[0])

    @property
    def shape(self) -> tuple[Dim, ...]:
        return self.index.type.shape + self.scatter.type.shape[1:]

    def of(self, ref: Ref) -> Value:
        if ref not in self.known:
            node = self.graph.nodes[ref.node]
            with self.builder.at(node.origin):
                self.known[ref] = self._computed(node, ref)
        return self.known[ref]

    def _computed(self, node: Node, ref: Ref) -> Value:
        shape, whole = self.graph.type_of(ref).shape, self.scatter.type.shape
        if node is self.scatter:
            updates = self.builder.value(node.operands[1])
            return self.builder("row_totals", self.index, updates)
        if shape != whole:
            return self._same_for_all(ref)
        if node.op == "variable":
            return self.builder("gather", self.builder.value(ref), self.index)
        if node.op == "broadcast":
            inner = self._same_for_all(node.operands[0])
            return self.builder("broadcast", inner, shape=self.shape)
        if not _is_elementwise(node):
            raise _NotByRows
        operands = [self.of(operand) for operand in node.operands]
        return self._whole(self.builder.emit(node.op, operands, node.attrs)[0])

    def _same_for_all(self, ref: Ref) -> Value:
        """A value that does not differ from row to row."""
        shape, whole = self.graph.type_of(ref).shape, self.scatter.type.shape
        if len(shape) == len(whole) and shape[0] != 1:
            raise _NotByRows
        return self.builder.value(ref)

    def _whole(self, value: Value) -> Value:
        """Stretched as it was by the table, where all operands were smaller."""
        if value.type.shape == self.shape:
            return value
        return self.builder("broadcast", value, shape=self.shape)
