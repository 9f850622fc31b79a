"""Dimensions: where a size comes from, followed back through the graph to its declaration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from operator import mul
from typing import NamedTuple

from flowc.graph.graph import Graph, Node, Ref
from flowc_runtime.dims import Dim
from flowc_runtime.types import TensorType

Types = Sequence[TensorType]
Source = tuple[int, int]  # the number of an operand, and an axis of it


class Axis(NamedTuple):
    """A dimension of a value: number `axis`, counted from the outermost."""

    value: Ref
    axis: int


def origin_of(graph: Graph, start: Axis) -> Axis:
    """The dimension that `start` has its size from, as far back as can be told.

    That is one of an input or variable, if there is a way to it, else one that an operation
    makes.
    """
    stack, seen, made = [start], {start}, []
    while stack:
        here = stack.pop()
        if graph.nodes[here.value.node].op in ("input", "variable"):
            return here
        before = list(comes_from(graph, here))
        if not before:
            made.append(here)
        stack.extend(dim for dim in reversed(before) if dim not in seen)
        seen.update(before)
    return made[0] if made else start


def comes_from(graph: Graph, dim: Axis) -> Iterator[Axis]:
    """The operands' dimensions that a dimension has its size from; none where it is made."""
    node = graph.nodes[dim.value.node]
    types = [graph.type_of(ref) for ref in node.operands]
    size = node.types[dim.value.result].shape[dim.axis]
    rule = _RULES.get(node.op)
    sources = _aligned(node, types, dim) if rule is None else [rule(node, types, dim)]
    for source in sources:
        if source is not None and types[source[0]].shape[source[1]] == size:
            yield Axis(node.operands[source[0]], source[1])


def meets(graph: Graph, dim: Axis) -> Iterator[tuple[Node, Axis]]:
    """The dimensions of other values that must equal `dim`, with the nodes that demand it."""
    for node in graph.nodes:
        for number, ref in enumerate(node.operands):
            if ref == dim.value:
                other = _partner(graph, node, number, dim.axis)
                if other is not None:
                    yield node, other


def _partner(graph: Graph, node: Node, number: int, axis: int) -> Axis | None:
    types = [graph.type_of(ref) for ref in node.operands]
    found = None
    if node.op == "matmul":
        found = _matmul_partner(node, types, number, axis)
    elif node.op == "conv":
        rank = types[0].rank
        found = {(0, rank - 1): (1, rank - 2), (1, rank - 2): (0, rank - 1)}.get((number, axis))
    elif node.op not in _RULES and len(types) == 2:
        other = 1 - number
        found = (other, axis - types[number].rank + types[other].rank)
    if found is None or not 0 <= found[1] < types[found[0]].rank:
        return None
    return Axis(node.operands[found[0]], found[1])


def _matmul_partner(node: Node, types: Types, number: int, axis: int) -> Source | None:
    """The inner dimensions: the last of `a` and the last but one of `b`, unless transposed."""
    inner_a = types[0].rank - (2 if node.attrs["transpose_a"] else 1)
    inner_b = types[1].rank - (1 if node.attrs["transpose_b"] else 2)
    return {(0, inner_a): (1, inner_b), (1, inner_b): (0, inner_a)}.get((number, axis))


def _aligned(node: Node, types: Types, dim: Axis) -> Iterator[Source]:
    """Elementwise operations: what each operand has at the same place, counted from behind."""
    result = node.types[dim.value.result]
    for number, type_ in enumerate(types):
        axis = dim.axis - result.rank + type_.rank
        if axis >= 0:
            yield number, axis


def _matmul(node: Node, types: Types, dim: Axis) -> Source | None:
    from_end = dim.axis - node.type.rank
    if from_end == -1:
        return 1, types[1].rank - (2 if node.attrs["transpose_b"] else 1)
    if from_end == -2:
        return 0, types[0].rank - (1 if node.attrs["transpose_a"] else 2)
    sized = (s for s in _aligned(node, types, dim) if types[s[0]].shape[s[1]] != 1)
    return next(sized, None)


def _transpose(node: Node, types: Types, dim: Axis) -> Source | None:
    return 0, node.attrs["perm"][dim.axis]


def _reduce(node: Node, types: Types, dim: Axis) -> Source | None:
    if node.attrs["keep"]:
        return None if dim.axis in node.attrs["axes"] else (0, dim.axis)
    kept = [axis for axis in range(types[0].rank) if axis not in node.attrs["axes"]]
    return 0, kept[dim.axis]


def _argmax(node: Node, types: Types, dim: Axis) -> Source | None:
    return 0, dim.axis + (dim.axis >= node.attrs["axis"])


def _reshape(node: Node, types: Types, dim: Axis) -> Source | None:
    """A dimension that stays whole: with as many elements before it, or behind it, as before."""
    for forwards in (True, False):
        old = _before(types[0].shape, forwards)
        new = _before(node.type.shape, forwards)
        for axis, size in enumerate(types[0].shape):
            if size == node.type.shape[dim.axis] and old[axis] == new[dim.axis]:
                return 0, axis
    return None


def _before(shape: Sequence[Dim], forwards: bool) -> Sequence[Dim]:
    """The number of elements of the dimensions before each (or behind it)."""
    ordered = list(shape) if forwards else list(shape)[::-1]
    products = list(accumulate(ordered, mul, initial=1))[:-1]
    return products if forwards else products[::-1]


def _concat(node: Node, types: Types, dim: Axis) -> Source | None:
    return None if dim.axis == node.attrs["axis"] else (0, dim.axis)


def _gather(node: Node, types: Types, dim: Axis) -> Source | None:
    rank = types[1].rank
    return (1, dim.axis) if dim.axis < rank else (0, dim.axis - rank + 1)


def _along(node: Node, types: Types, dim: Axis) -> Source | None:
    return 0, dim.axis


def _conv(node: Node, types: Types, dim: Axis) -> Source | None:
    last = node.type.rank - 1
    return {0: (0, 0), last: (1, last)}.get(dim.axis)


def _pool(node: Node, types: Types, dim: Axis) -> Source | None:
    return (0, dim.axis) if dim.axis in (0, node.type.rank - 1) else None


def _scan(node: Node, types: Types, dim: Axis) -> Source | None:
    """A carry is like its first value; the rounds of a yield are those of the sequences."""
    sequences, carries = node.attrs["sequences"], node.attrs["carries"]
    if dim.value.result < carries:
        return sequences + dim.value.result, dim.axis
    if sequences and dim.axis == node.attrs["yield_axes"][dim.value.result - carries]:
        return 0, node.attrs["axes"][0]
    return None


_RULES: Mapping[str, Callable[[Node, Types, Axis], Source | None]] = {
    "matmul": _matmul,
    "transpose": _transpose,
    **dict.fromkeys(("reduce_sum", "reduce_max", "reduce_min", "reduce_prod"), _reduce),
    **dict.fromkeys(("reduce_any", "reduce_all"), _reduce),
    **dict.fromkeys(("argmax", "argmin"), _argmax),
    "reshape": _reshape,
    "concat": _concat,
    "gather": _gather,
    **dict.fromkeys(("take_along", "argsort", "cumsum"), _along),
    "gather_along": lambda node, types, dim: (1, dim.axis),
    "slice": _along,
    "conv": _conv,
    **dict.fromkeys(("max_pool", "avg_pool"), _pool),
    "scan": _scan,
}
