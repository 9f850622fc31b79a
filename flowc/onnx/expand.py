"""Operators that ONNX itself defines by others: their definition, read from the package."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flowc.onnx.fold import node_proto
from flowc.onnx.model import ONNX_OF, Function, Node
from flowc.onnx.read import Reader
from flowc.onnx.values import Known, Tensor, Value


def definition(node: Node, inputs: Sequence[Value | None]) -> Function | None:
    """What the operator is made of; None where it is primitive."""
    from onnx import defs

    try:
        schema = defs.get_schema(node.op, node.version, "")
    except defs.SchemaError:
        return None
    proto: Any = None
    if schema.has_function:
        proto = schema.function_body
    elif schema.has_context_dependent_function:
        proto = _in_context(schema, node, inputs)
    if proto is None:
        return None
    reader = Reader(Path(f"{node.op} of ONNX"))
    reader.opsets = {"": node.version}
    nodes = tuple(reader.node(n, i, 0) for i, n in enumerate(proto.node))
    defaults = {n: a.default_value for n, a in schema.attributes.items() if not a.required}
    plain = {n: reader.attribute(d, 0) for n, d in defaults.items() if d.name}
    return Function(tuple(proto.input), tuple(proto.output), tuple(proto.attribute), plain, nodes)


def _in_context(schema: Any, node: Node, inputs: Sequence[Value | None]) -> Any:
    """The definition for operands of these types; ONNX builds it in C++."""
    import onnx

    types = [_type(v).SerializeToString() for v in inputs]
    body = schema.get_context_dependent_function(node_proto(node).SerializeToString(), types)
    found = onnx.FunctionProto()
    found.ParseFromString(body)
    return found if found.node else None


def _type(value: Value | None) -> Any:
    import onnx
    from onnx import helper

    if not isinstance(value, (Tensor, Known)):
        return onnx.TypeProto()
    shape = [int(d) if isinstance(d, int) else None for d in value.shape]
    return helper.make_tensor_type_proto(ONNX_OF[value.dtype], shape)
