"""Building graphs: types are computed at birth, by the op's own rule."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flowc.diagnostic import Diagnostic, Label, Limit
from flowc.graph.graph import NOWHERE, Graph, Node, Origin, Output, Ref, Update
from flowc_runtime.dims import Dim
from flowc_runtime.ops import CATALOG
from flowc_runtime.types import TensorType

MAX_NODES = 100_000


@dataclass(frozen=True, slots=True)
class Value:
    """A result of a node of the graph under construction, with its type."""

    ref: Ref
    type: TensorType


@dataclass
class Builder:
    """A graph under construction. Calling it appends a node and returns its first result.

    It is the `Emit` of gradient rules. `origin` is given to every node that is appended.
    """

    nodes: list[Node] = field(default_factory=list)
    origin: Origin = NOWHERE

    def __call__(self, op: str, *operands: Value, **attrs: Any) -> Value:
        return self.emit(op, operands, attrs)[0]

    def emit(
        self, op: str, operands: Sequence[Value], attrs: Mapping[str, Any]
    ) -> tuple[Value, ...]:
        """Appends a node of the catalog; raises `Reject` where its type rule does."""
        rule = CATALOG[op]
        filled = {a.name: attrs.get(a.name, a.default) for a in rule.attrs}
        unknown = set(attrs) - set(filled)
        if unknown:
            raise TypeError(f"{op} has no attribute {sorted(unknown)}")
        types = rule.infer(tuple(v.type for v in operands), filled)
        return self.append(op, tuple(v.ref for v in operands), filled, types)

    def append(
        self,
        op: str,
        operands: tuple[Ref, ...],
        attrs: Mapping[str, Any],
        types: tuple[TensorType, ...],
        body: Graph | None = None,
    ) -> tuple[Value, ...]:
        """Appends a node whose types are known already."""
        return self._add(Node(len(self.nodes), op, operands, attrs, types, self.origin, body))

    def copy(self, node: Node, operands: tuple[Ref, ...]) -> tuple[Value, ...]:
        """Appends `node` with other operands (of the same types), keeping its origin."""
        number = len(self.nodes)
        if node.id != number or node.operands != operands:
            node = Node(
                number, node.op, operands, node.attrs, node.types, node.origin, node.body)
        return self._add(node)

    def _add(self, node: Node) -> tuple[Value, ...]:
        if node.id >= MAX_NODES:
            raise Limit(too_many_nodes(node.origin))
        self.nodes.append(node)
        return tuple([Value(Ref(node.id, i), t) for i, t in enumerate(node.types)])

    @contextmanager
    def at(self, origin: Origin) -> Iterator[None]:
        before, self.origin = self.origin, origin
        try:
            yield
        finally:
            self.origin = before

    def input(self, name: str, type: TensorType) -> Value:
        return self.append("input", (), {"name": name}, (type,))[0]

    def variable(self, path: str, kind: str, type: TensorType) -> Value:
        """`kind` is `param`, `state` (kept, no gradient) or `slot` (an optimiser's)."""
        return self.append("variable", (), {"path": path, "kind": kind}, (type,))[0]

    def scalar(self, value: int | float | bool, dtype: str) -> Value:
        return self.append("const", (), {"value": value}, (TensorType(dtype),))[0]

    def dim(self, value: Dim, dtype: str) -> Value:
        """The size of a dimension as a scalar tensor."""
        if isinstance(value, int):
            return self.scalar(value if dtype[0] in "iu" else float(value), dtype)
        return self.append("dim", (), {"value": value}, (TensorType(dtype),))[0]

    def constant(self, value: float, type: TensorType) -> Value:
        """A tensor of `type` filled with `value`."""
        scalar = self.scalar(value, type.dtype)
        return scalar if not type.shape else self("broadcast", scalar, shape=type.shape)

    def value(self, ref: Ref) -> Value:
        return Value(ref, self.nodes[ref.node].types[ref.result])

    def finish(self, outputs: Sequence[Output], updates: Sequence[Update] = ()) -> Graph:
        return Graph(tuple(self.nodes), tuple(outputs), tuple(updates))


def rebuild(
    graph: Graph, rewrite: Callable[[Builder, Node, tuple[Value, ...]], Sequence[Value] | None]
) -> Graph:
    """The graph with each node replaced by what `rewrite` returns; None copies the node.

    `rewrite(builder, node, operands)` gets the operands as values of the new graph and returns
    one value per result (of the same types).
    """
    builder = Builder()
    moved: list[tuple[Value, ...]] = []  # the results of each node, as values of the new graph
    for node in graph.nodes:
        builder.origin = node.origin
        operands = tuple([moved[at][result] for at, result in node.operands])
        values = rewrite(builder, node, operands)
        if values is None:
            values = builder.copy(node, tuple([value.ref for value in operands]))
        moved.append(tuple(values))
    return builder.finish(
        [Output(o.name, _at(moved, o.value)) for o in graph.outputs],
        [Update(moved[u.variable][0].ref.node, _at(moved, u.value)) for u in graph.updates],
    )


def _at(moved: Sequence[tuple[Value, ...]], ref: Ref) -> Ref:
    return moved[ref.node][ref.result].ref


def too_many_nodes(origin: Origin) -> Diagnostic:
    return Diagnostic(
        "too-large",
        f"the model needs more than {MAX_NODES:,} nodes",
        Label(origin.span) if origin.span else None,
        help="use `scan` for long recurrences, or a smaller `repeat`",
    )
