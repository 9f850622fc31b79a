"""Fold: what depends on small constants alone is computed now, by the catalog's own kernels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from flowc.graph.builder import Builder, Value, rebuild
from flowc.graph.graph import Graph, Node
from flowc.graph.walk import in_bodies
from flowc.passes.constants import as_kind, const_array, const_value, node_of
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import BadValue, Types
from flowc_runtime.types import TensorType

MAX_ELEMENTS = 64  # of a result; larger ones would only bloat the plan
# A filled tensor stays one number, and randomness stays a matter of the step.
_KEPT = {"broadcast", "random_uniform", "random_normal", "orthogonalize"}


def fold(graph: Graph) -> Graph:
    return rebuild(in_bodies(fold, graph), fold_node)


def fold_node(builder: Builder, node: Node, operands: tuple[Value, ...]) -> Sequence[Value] | None:
    """The node's results as constants, or None where it is not known what they are."""
    sources = [node_of(builder, value) for value in operands]
    if not _foldable(node, sources):
        return None
    try:
        results = _compute(node, [const_array(s) for s in sources], [s.type for s in sources])
    except (BadValue, OverflowError):
        return None  # the step will report it, with the line
    return [_constant(builder, r, t) for r, t in zip(results, node.types, strict=True)]


def _foldable(node: Node, sources: Sequence[Node]) -> bool:
    return (
        node.op in CATALOG
        and CATALOG[node.op].kernel is not None
        and node.op not in _KEPT
        and bool(sources)
        and all(source.op == "const" and _is_small(source.type) for source in sources)
        and all(_is_small(type) for type in node.types)
    )


def _is_small(type: TensorType) -> bool:
    size = type.size
    return isinstance(size, int) and size <= MAX_ELEMENTS and type.dtype != "bf16"


def _compute(node: Node, arrays: list[np.ndarray], types: Sequence[TensorType]) -> list[np.ndarray]:
    op = CATALOG[node.op]
    assert op.kernel is not None
    results = [np.zeros(type.sizes, type.storage) for type in node.types]
    operand_types: Types = tuple(types)
    scratch = np.empty(op.scratch_bytes(operand_types, node.types, node.attrs), np.uint8)
    with np.errstate(all="ignore"):
        op.kernel(results, arrays, node.attrs, scratch)
    return results


def _constant(builder: Builder, array: np.ndarray, type: TensorType) -> Value:
    value = const_value(array)
    if type.shape and array.size and (array == array.flat[0]).all():
        return builder.constant(as_kind(array.flat[0], type.kind), type)
    return builder.append("const", (), {"value": value}, (type,))[0]
