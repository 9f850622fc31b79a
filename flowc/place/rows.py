"""Parameters split by rows: in the update half each piece becomes a variable of its own.

A piece is updated by the arithmetic of the whole on its rows, so the bits are the same. That works
where every op of the update goes row by row. A reduction over the rows (for the norm of a gradient)
gathers what it reduces, best a number a row; an op that mixes rows otherwise is told to the author.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowc.diagnostic import Diagnostic, Label, Sink, Stop
from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Ref, Update
from flowc.lower.place import covers
from flowc.place.halves import GRADIENT, NEXT
from flowc.place.owners import parameter_of
from flowc.syntax import tree as t
from flowc_runtime.cluster.plan import rows_name, rows_type
from flowc_runtime.cluster.shards import Range, assign
from flowc_runtime.ops import CATALOG
from flowc_runtime.types import TensorType

Pieces = Mapping[str, tuple[Range, ...]]  # by parameter its rows, as they are dealt out


@dataclass(frozen=True)
class Split:
    """The update half with pieces, and the role of each by its path: `embed.table[0:600]`."""

    update: Graph
    homes: Mapping[str, str] = field(default_factory=dict)


def split_rows(
    update: Graph, patterns: Sequence[t.Pattern], roles: Sequence[str], sink: Sink
) -> Split:
    """Cuts the parameters that the patterns cover, as evenly as can be, over the roles.

    The graph's dimensions are bound. What cannot be is told to the sink, then Stop.
    """
    pieces = _pieces(update, patterns, len(roles))
    if not pieces:
        return Split(update)
    touched = _touched(update, pieces)
    for path, mixing in _mixing(update, touched, pieces).items():
        pattern = next(p for p in patterns if covers(p, path))
        sink.report(_cannot_split(pattern, path, mixing))
    if sink.errors:
        raise Stop
    homes = {
        rows_name(path, rows): role
        for path, cut in pieces.items() for rows, role in zip(cut, roles, strict=False)
    }
    return Split(_Cut(update, pieces, touched).graph(), homes)


def _pieces(update: Graph, patterns: Sequence[t.Pattern], count: int) -> Pieces:
    """The rows of each piece. What has a single row, or none, stays whole."""
    found = {}
    for node in update.nodes:
        if node.op == "variable" and node.attrs["kind"] == "param" and node.type.shape:
            path, rows = node.attrs["path"], node.type.sizes[0]
            if any(covers(p, path) for p in patterns) and min(rows, count) > 1:
                found[path] = assign(rows, min(rows, count))
    return found


def _touched(update: Graph, pieces: Pieces) -> dict[int, str]:
    """For each node that depends on a split parameter, its slots or its gradient: which."""
    touched: dict[int, str] = {}
    for node in update.nodes:
        if _gathers(node):
            continue
        found = [touched[ref.node] for ref in node.operands if ref.node in touched]
        path = found[0] if found else _belongs_to(node)
        if path in pieces:
            touched[node.id] = path
    return touched


def _gathers(node: Node) -> bool:
    return node.op.startswith("reduce_") and 0 in node.attrs["axes"]


def _belongs_to(node: Node) -> str:
    """The parameter that a leaf is of; empty for any other node."""
    if node.op == "variable":
        return parameter_of(node.attrs["path"])
    if node.op == "input":
        name: str = node.attrs["name"]
        return name.removeprefix(GRADIENT).removeprefix(NEXT)
    return ""


def _mixing(update: Graph, touched: Mapping[int, str], pieces: Pieces) -> dict[str, Node]:
    """By parameter the first node that does not go row by row."""
    mixing: dict[str, Node] = {}
    for id, path in touched.items():
        if not _goes_by_rows(update, update.nodes[id], pieces[path][-1][1], touched):
            mixing.setdefault(path, update.nodes[id])
    for u in update.updates:
        variable, value = update.nodes[u.variable], update.nodes[u.value.node]
        path = parameter_of(variable.attrs["path"])
        for other in {touched.get(variable.id, path), touched.get(value.id, path)} - {path}:
            mixing.setdefault(other, value)
    return mixing


def _goes_by_rows(update: Graph, node: Node, rows: int, touched: Mapping[int, str]) -> bool:
    if any(type.shape[:1] != (rows,) for type in node.types):
        return False
    if node.op in ("variable", "input"):
        return True
    if node.op.startswith("reduce_"):
        return True
    theirs = [ref for ref in node.operands if ref.node in touched]
    return CATALOG[node.op].elementwise and all(
        touched[ref.node] == touched[node.id] and update.type_of(ref).rank == node.type.rank
        for ref in theirs)


class _Cut:
    """Builds the graph in which what is touched is there once a piece."""

    def __init__(self, update: Graph, pieces: Pieces, touched: Mapping[int, str]):
        self._update = update
        self._pieces = pieces
        self._touched = touched
        self._builder = Builder()
        self._whole: dict[Ref, Value] = {}
        self._rows: dict[tuple[Ref, Range], Value] = {}

    def graph(self) -> Graph:
        for node in self._update.nodes:
            with self._builder.at(node.origin):
                self._node(node)
        updates = [made for u in self._update.updates for made in self._updates(u)]
        return self._builder.finish((), updates)

    def _node(self, node: Node) -> None:
        path = self._touched.get(node.id)
        if path is None:
            operands = tuple(self._gathered(ref).ref for ref in node.operands)
            values = self._builder.copy(node, operands)
            self._whole.update({Ref(node.id, k): value for k, value in enumerate(values)})
            return
        for rows in self._pieces[path]:
            for k, value in enumerate(self._piece(node, rows)):
                self._rows[Ref(node.id, k), rows] = value

    def _gathered(self, ref: Ref) -> Value:
        """The whole value, of pieces too."""
        if ref not in self._whole:
            cut = self._pieces[self._touched[ref.node]]
            self._whole[ref] = self._builder(
                "concat", *(self._rows[ref, rows] for rows in cut), axis=0)
        return self._whole[ref]

    def _piece(self, node: Node, rows: Range) -> tuple[Value, ...]:
        type = rows_type(node.type, rows)
        if node.op == "variable":
            path = rows_name(node.attrs["path"], rows)
            return (self._builder.variable(path, node.attrs["kind"], type),)
        if node.op == "input":
            return (self._builder.input(rows_name(node.attrs["name"], rows), type),)
        operands = [self._operand(ref, node.type, rows) for ref in node.operands]
        return self._builder.emit(node.op, operands, node.attrs)

    def _operand(self, ref: Ref, result: TensorType, rows: Range) -> Value:
        """The operand's rows, or all of it where it is the same for every row."""
        if ref.node in self._touched:
            return self._rows[ref, rows]
        type = self._update.type_of(ref)
        if type.rank < result.rank or type.sizes[0] == 1:
            return self._whole[ref]
        return self._rows_of(ref, type, rows)

    def _rows_of(self, ref: Ref, type: TensorType, rows: Range) -> Value:
        """Rows of what belongs to no piece; a filled tensor is filled anew."""
        if (ref, rows) not in self._rows:
            node = self._update.nodes[ref.node]
            filling = self._whole[node.operands[0]] if node.op == "broadcast" else None
            if filling is not None and not filling.type.shape:
                value = self._builder("broadcast", filling, shape=rows_type(type, rows).shape)
            else:
                value = self._builder(
                    "slice", self._whole[ref],
                    starts=(rows[0], *(0,) * (type.rank - 1)), stops=(rows[1], *type.sizes[1:]),
                    steps=(1,) * type.rank)
            self._rows[ref, rows] = value
        return self._rows[ref, rows]

    def _updates(self, update: Update) -> list[Update]:
        path = self._touched.get(update.variable)
        if path is None:
            variable = self._whole[Ref(update.variable)]
            return [Update(variable.ref.node, self._whole[update.value].ref)]
        type = self._update.nodes[update.variable].type
        return [
            Update(
                self._rows[Ref(update.variable), rows].ref.node,
                self._operand(update.value, type, rows).ref)
            for rows in self._pieces[path]
        ]


def _cannot_split(pattern: t.Pattern, path: str, mixing: Node) -> Diagnostic:
    span = mixing.origin.span
    return Diagnostic(
        "cannot-split",
        f"`{path}` cannot be split by rows: `{mixing.op}` of its update mixes them",
        Label(pattern.span),
        others=(Label(span, "needs all rows"),) if span else (),
        help="leave out `shard`, or use an optimizer that goes element by element",
    )
