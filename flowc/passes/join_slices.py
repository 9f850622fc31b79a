"""Join slices: a sum of slices that were put back side by side is a concatenation.

That sum is the gradient of splitting a tensor, into the gates of an LSTM say: each part would
else fill a whole tensor of zeros.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node
from flowc.graph.walk import has_op, in_bodies
from flowc.passes.constants import node_of

MAX_TERMS = 64  # of a sum that is looked at, so that long sums take no quadratic time


@dataclass(frozen=True)
class _Piece:
    """The operand of an `unslice` that fills `start` to `stop` of one axis of zeros."""

    axis: int
    start: int
    stop: int
    term: Value
    part: Value


def join_slices(graph: Graph) -> Graph:
    graph = in_bodies(join_slices, graph)
    return rebuild(graph, _rewrite) if has_op(graph, "unslice") else graph


def _rewrite(builder: Builder, node: Node, operands: tuple[Value, ...]) -> Sequence[Value] | None:
    if node.op != "add" or any(value.type != node.type for value in operands):
        return None
    terms = list(_terms(builder, operands))
    pieces = _covering([piece for t in terms if (piece := _piece(builder, t)) is not None])
    if not pieces:
        return None
    total = builder("concat", *(piece.part for piece in pieces), axis=pieces[0].axis)
    joined = {piece.term.ref for piece in pieces}
    for term in terms:
        if term.ref not in joined:
            total = builder("add", total, term)
    return (total,)


def _terms(builder: Builder, operands: Sequence[Value]) -> Iterator[Value]:
    """The terms of a sum of sums, from left to right."""
    open_terms, found = list(reversed(operands)), 0
    while open_terms:
        value = open_terms.pop()
        node = node_of(builder, value)
        same = [builder.value(ref) for ref in node.operands]
        if node.op == "add" and all(v.type == value.type for v in same) and found < MAX_TERMS:
            open_terms.extend(reversed(same))
        else:
            yield value
        found += 1


def _piece(builder: Builder, value: Value) -> _Piece | None:
    node = node_of(builder, value)
    if node.op != "unslice":
        return None
    part = builder.value(node.operands[0])
    cut = [a for a, dim in enumerate(value.type.shape) if part.type.shape[a] != dim]
    if len(cut) != 1:
        return None
    start, stop = node.attrs["starts"][cut[0]], node.attrs["stops"][cut[0]]
    whole = isinstance(start, int) and isinstance(stop, int)
    if not whole or any(step != 1 for step in node.attrs["steps"]):
        return None
    return _Piece(cut[0], start, stop, value, part)


def _covering(pieces: Sequence[_Piece]) -> list[_Piece]:
    """Pieces that fill one axis without a gap or an overlap, in order; empty if there are none."""
    for axis in sorted({piece.axis for piece in pieces}):
        along = sorted((p for p in pieces if p.axis == axis), key=lambda p: p.start)
        chain = _chain(along)
        if chain and chain[-1].stop == chain[0].term.type.shape[axis]:
            return chain
    return []


def _chain(along: Sequence[_Piece]) -> list[_Piece]:
    chain: list[_Piece] = []
    at = 0
    for piece in along:
        if piece.start == at and piece.stop > at:
            chain.append(piece)
            at = piece.stop
    return chain
