"""Common subexpressions: of nodes that compute the same, the first serves for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node, Ref
from flowc.graph.text import attrs_text
from flowc.graph.walk import in_bodies
from flowc_runtime.ops.reduce import reduced_shape
from flowc_runtime.types import TensorType

_COMMUTATIVE = {
    "add", "mul", "maximum", "minimum", "equal", "not_equal", "logical_and", "logical_or",
}  # fmt: skip

Key = tuple[object, ...]


def cse(graph: Graph) -> Graph:
    """Every op is a function of operands and attributes, the random ones too, so all may merge."""
    seen: dict[Key, tuple[Value, ...]] = {}

    def rewrite(
        builder: Builder, node: Node, operands: tuple[Value, ...]
    ) -> Sequence[Value] | None:
        refs = tuple(value.ref for value in operands)
        key = _key(node, refs)
        if key not in seen:
            seen[key] = _same_reduction(builder, node, refs, seen) or builder.copy(node, refs)
        return seen[key]

    return rebuild(in_bodies(cse, graph), rewrite)


def _same_reduction(
    builder: Builder, node: Node, operands: tuple[Ref, ...], seen: Mapping[Key, tuple[Value, ...]]
) -> tuple[Value, ...] | None:
    """Reductions that only differ in whether the axes are kept are reshapes of each other."""
    if "keep" not in node.attrs:
        return None
    type = builder.nodes[operands[0].node].types[operands[0].result]
    attrs = {**node.attrs, "keep": not node.attrs["keep"]}
    shape = reduced_shape(type, attrs["axes"], attrs["keep"])
    other = replace(node, attrs=attrs, types=(TensorType(node.type.dtype, shape),))
    found = seen.get(_key(other, operands))
    return found and (builder("reshape", found[0], shape=node.type.shape),)


def _key(node: Node, operands: tuple[Ref, ...]) -> Key:
    """Attributes as text: there 1, 1.0 and true differ, as do 0.0 and -0.0."""
    if node.op in _COMMUTATIVE:
        operands = tuple(sorted(operands))
    body = _body_key(node.body) if node.body else ()
    return node.op, operands, attrs_text(node.attrs), node.types, body


def _body_key(body: Graph) -> Key:
    return tuple(_key(node, node.operands) for node in body.nodes), body.outputs
