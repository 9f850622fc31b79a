"""Rules of `simplify` for ops that move data, and for reductions of next to nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Node
from flowc.passes.constants import node_of, number_of
from flowc_runtime.dims import Dim

Operands = tuple[Value, ...]
Rule = Callable[[Builder, Node, Operands], Value | None]


def _same_shape(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """What has the operand's type already has not moved anything."""
    return operands[0] if operands[0].type == node.type else None


def _filled(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """Of a tensor that is one number throughout, another shape is filled with that number."""
    number = number_of(builder, operands[0])
    is_const = node_of(builder, operands[0]).op == "const"
    return None if number is None or is_const else builder.constant(number, node.type)


def _reshape_twice(builder: Builder, node: Node, operands: Operands) -> Value | None:
    source = _made_by(builder, operands[0], "reshape")
    if source is None:
        return None
    return builder("reshape", builder.value(source.operands[0]), shape=node.type.shape)


def _broadcast_twice(builder: Builder, node: Node, operands: Operands) -> Value | None:
    source = _made_by(builder, operands[0], "broadcast")
    if source is None:
        return None
    return builder("broadcast", builder.value(source.operands[0]), shape=node.type.shape)


def _transpose_twice(builder: Builder, node: Node, operands: Operands) -> Value | None:
    source = _made_by(builder, operands[0], "transpose")
    if source is None:
        return None
    perm = tuple(source.attrs["perm"][axis] for axis in node.attrs["perm"])
    inner = builder.value(source.operands[0])
    return inner if perm == tuple(range(len(perm))) else builder("transpose", inner, perm=perm)


def _transpose_as_reshape(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """Where only axes of size 1 change places, the order of the elements stays."""
    shape = operands[0].type.shape
    moved = [axis for axis in node.attrs["perm"] if shape[axis] != 1]
    if moved != sorted(moved):
        return None
    return builder("reshape", operands[0], shape=node.type.shape)


def _slice_all(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """A slice that keeps everything in its order, and the way back from it."""
    forward = all(step > 0 for step in node.attrs["steps"])
    return operands[0] if forward and operands[0].type == node.type else None


def _pad_nothing(builder: Builder, node: Node, operands: Operands) -> Value | None:
    added = (*node.attrs["before"], *node.attrs["after"])
    return operands[0] if all(width == 0 for width in added) else None


def _concat_one(builder: Builder, node: Node, operands: Operands) -> Value | None:
    return operands[0] if len(operands) == 1 else None


def _reduce_ones(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """A reduction over axes of size 1 moves nothing but the axes."""
    if any(operands[0].type.shape[axis] != 1 for axis in node.attrs["axes"]):
        return None
    if operands[0].type == node.type:
        return operands[0]
    return builder("reshape", operands[0], shape=node.type.shape)


def _sum_of_repeated(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """The sum of n equal elements is n times one of them."""
    once = _reduced_source(builder, node, operands[0])
    if once is None or node.type.dtype not in ("f64", "f32"):
        return None  # a count may be too large for the others
    count: Dim = 1
    for axis in node.attrs["axes"]:
        count = count * operands[0].type.shape[axis]
    return builder("mul", once, builder.dim(count, node.type.dtype))


def _extreme_of_repeated(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """The extreme of equal elements is each of them."""
    return _reduced_source(builder, node, operands[0])


def _reduced_source(builder: Builder, node: Node, value: Value) -> Value | None:
    """What was repeated along just the axes that `node` reduces, in the shape of its result."""
    source = _made_by(builder, value, "broadcast")
    if source is None:
        return None
    inner = builder.value(source.operands[0])
    shape = (1,) * (value.type.rank - inner.type.rank) + inner.type.shape
    stretched = [a for a, dim in enumerate(shape) if dim == 1 and value.type.shape[a] != 1]
    if set(stretched) != set(node.attrs["axes"]) or 0 in value.type.shape:
        return None
    return inner if inner.type == node.type else builder("reshape", inner, shape=node.type.shape)


def _made_by(builder: Builder, value: Value, op: str) -> Node | None:
    node = node_of(builder, value)
    return node if node.op == op else None


_REDUCE: tuple[Rule, ...] = (_reduce_ones,)
_SAMPLED: tuple[Rule, ...] = (_slice_all, _filled)

MOVEMENT: Mapping[str, tuple[Rule, ...]] = {
    "reshape": (_same_shape, _filled, _reshape_twice),
    "broadcast": (_same_shape, _broadcast_twice),
    "transpose": (_filled, _transpose_as_reshape, _transpose_twice),
    "slice": _SAMPLED,
    "unslice": (_slice_all,),
    "pad": (_pad_nothing,),
    "concat": (_concat_one,),
    "reduce_sum": (*_REDUCE, _sum_of_repeated),
    "reduce_max": (*_REDUCE, _extreme_of_repeated),
    "reduce_min": (*_REDUCE, _extreme_of_repeated),
    "reduce_prod": _REDUCE,
    "reduce_any": (*_REDUCE, _extreme_of_repeated),
    "reduce_all": (*_REDUCE, _extreme_of_repeated),
}
