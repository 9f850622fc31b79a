"""Reasons: where the dimensions of a value come from, in words with places."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowc.diagnostic import Sink
from flowc.driver import Checked
from flowc.graph.graph import Graph, Node
from flowc.lower.lowerer import Lowerer
from flowc.lower.values import is_dim
from flowc.source import Span
from flowc.syntax import tree as t
from flowc.views.declarations import Declarations, one_line, walk
from flowc.views.dimensions import Axis, meets, origin_of
from flowc.views.subjects import Subject
from flowc_runtime.dims import Dim

MOST_MEETINGS = 3  # more places that demand the same size nobody reads


class Reasons:
    """Answers about one checked model."""

    def __init__(self, checked: Checked, declarations: Declarations):
        self.checked, self.declarations = checked, declarations
        self.graph: Graph = checked.train.graph

    def about(self, subject: Subject) -> Iterator[str]:
        """What else is to be said of a size: what sets it, and what has it."""
        if subject.kind != "size":
            return
        settings = self.checked.settings
        if subject.name == "batch" and settings is not None:
            yield f"train.batch binds it to {settings.batch}"
        for name, expr in self.checked.world.defines.items():
            if name in (subject.name, f"train.{subject.name}"):
                yield f"-D {name}={one_line(expr.span)} sets it"
        for node in walk(self.checked.world.tree):
            if isinstance(node, t.Name) and node.text == subject.name and node.span.line:
                yield f"named at {node.span}"

    def of_dimension(self, subject: Subject, axis: int) -> list[str]:
        """Why dimension number `axis` of the subject's value has its size."""
        assert subject.value is not None
        size = self.graph.type_of(subject.value).shape[axis]
        start = Axis(subject.value, axis)
        if subject.kind not in ("variable", "input"):
            return [self._origin(start)]
        declared = list(self._declared(subject.span, axis, size))
        met = list(self._meetings(start))[:MOST_MEETINGS]
        return [*declared, *met] or [self._set_by(subject.span)]

    def _declared(self, span: Span | None, axis: int, size: Dim) -> Iterator[str]:
        """What the text says at the place of the declaration, or in the call that declares."""
        statement = self.declarations.node_at(span) if span else None
        if isinstance(statement, t.Input | t.Param | t.State) and statement.type is not None:
            if axis < len(statement.type.dims):
                yield from self._expression(statement.type.dims[axis])
            return
        call = self._layer(statement)
        for node in walk(call) if isinstance(call, t.Call) else ():
            if isinstance(node, t.Argument) and self._value(node.value) == size:
                yield f"the argument `{one_line(node.span)}` at {node.span}"
                yield from self._hypers(node.value)

    def _layer(self, statement: Any) -> Any:
        """The call with the settings: where a `layer` is used, that of its declaration."""
        if isinstance(statement, t.Call) and isinstance(statement.function, t.Name):
            for node in walk(self.declarations.tree(statement.span.source)):
                if isinstance(node, t.Layer) and node.name.text == statement.function.text:
                    return node.value
        return statement

    def _set_by(self, span: Span | None) -> str:
        return f"set by `{one_line(span)}` at {span}" if span else "set by the compiler"

    def _expression(self, expr: Any) -> Iterator[str]:
        yield f"written `{one_line(expr.span)}` at {expr.span}"
        yield from self._hypers(expr)

    def _hypers(self, expr: Any) -> Iterator[str]:
        """The hyperparameters that an expression names."""
        for node in (expr, *walk(expr)):
            found = self.checked.world.scope.names.get(node.text) if isinstance(
                node, t.Name) else None  # fmt: skip
            if found is not None and found.noun == "hyper":
                yield f"hyper {node.text} = {found.value}, {found.span}"

    def _value(self, expr: Any) -> Dim | None:
        """The value of an expression that hyperparameters alone decide; None for all others."""
        world = self.checked.world
        value = Lowerer(Sink(), False, world.modules.library()).evaluate(expr, world.scope)
        return value if is_dim(value) else None

    def _meetings(self, dim: Axis) -> Iterator[str]:
        """Which dimensions of other values must be the same, and where those come from."""
        for node, other in meets(self.graph, dim):
            type_ = self.graph.type_of(other.value)
            where = f"{node.op}{_at(node)}"
            yield f"equals dimension {other.axis} of {type_} in {where}: {self._origin(other)}"

    def _origin(self, dim: Axis) -> str:
        """Where a dimension's size is made."""
        end = origin_of(self.graph, dim)
        node = self.graph.nodes[end.value.node]
        if node.op in ("input", "variable"):
            name = node.attrs["name"] if node.op == "input" else node.attrs["path"]
            return f"dimension {end.axis} of {name}: {node.type}{_at(node)}"
        given = ", ".join(str(self.graph.type_of(ref)) for ref in node.operands)
        return f"made by {node.op}{_at(node)}" + (f" from {given}" if given else "")


def _at(node: Node) -> str:
    return f" at {node.origin.span}" if node.origin.span else ""
