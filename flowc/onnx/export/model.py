"""A checked model with its weights to the bytes of an ONNX file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from flowc.driver import Checked
from flowc.graph.graph import Graph, Node, Ref
from flowc.lower.model import select
from flowc.onnx.errors import OnnxError
from flowc.onnx.export import elementwise, images, movement
from flowc.onnx.export.elementwise import Rule
from flowc.onnx.export.movement import END
from flowc.onnx.export.writer import (
    IR_VERSION,
    OPSET,
    NoTranslation,
    Shared,
    Writer,
    tensor_type,
)
from flowc.onnx.read import require_onnx
from flowc.passes.cse import cse
from flowc.passes.dead_code import dead_code
from flowc.passes.fold import fold
from flowc.passes.simplify import simplify
from flowc_runtime.dims import Poly, symbol
from flowc_runtime.types import DTYPES

RULES: dict[str, Rule] = {**elementwise.RULES, **movement.RULES, **images.RULES}
MAX_BYTES = (2 << 30) - (1 << 20)  # of what protobuf can hold


def export(checked: Checked, weights: Mapping[str, np.ndarray]) -> bytes:
    """The outputs of the model as an ONNX file, `batch` left open.

    `weights` must have every parameter and state that the outputs depend on. Raises OnnxError
    with all nodes that ONNX has no words for.
    """
    require_onnx()
    graph = select(checked.evaluate.graph, ("output",), False)
    if not graph.outputs:
        raise OnnxError("onnx-export", f"the model `{checked.name}` declares no output")
    graph = dead_code(simplify(cse(fold(dead_code(graph)))))
    proto = _proto(checked.name, graph, weights)
    _check(proto)
    return bytes(proto.SerializeToString())


def _proto(name: str, graph: Graph, weights: Mapping[str, np.ndarray]) -> Any:
    from onnx import helper

    from flowc import __version__

    shared = Shared()
    outputs = [(o.name.removeprefix("output."), o.value) for o in graph.outputs]
    # names that others see are taken before any of ours
    shared.names.update(n for n, _ in outputs)
    shared.names.update(n.attrs["name"] for n in graph.nodes if n.op == "input")
    writer = Writer(graph, shared)
    inputs = _inputs(writer)
    _nodes(writer, weights)
    results = []
    for result, ref in outputs:
        writer.nodes.append(helper.make_node("Identity", [writer.values[ref]], [result]))
        results.append(helper.make_value_info(result, tensor_type(graph.type_of(ref))))
    used = set(_used(writer.nodes))
    tensors = [t for t in shared.tensors if t.name in used]
    made = helper.make_graph(writer.nodes, name, inputs, results, tensors)
    model = helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
        producer_name="flowc", producer_version=__version__)
    if model.ByteSize() > MAX_BYTES:
        raise OnnxError("onnx-limit", "the model is larger than the 2 GiB that an ONNX file holds")
    return model


def _used(nodes: Iterable[Any]) -> Iterator[str]:
    """The values that nodes read, those in the bodies of loops too."""
    for node in nodes:
        yield from node.input
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _used(attribute.g.node)


def _inputs(writer: Writer) -> list[Any]:
    """The inputs, and the batch's size taken from the first that has it."""
    from onnx import helper

    declared = []
    for node in writer.graph.nodes:
        if node.op != "input":
            continue
        name = node.attrs["name"]
        writer.values[Ref(node.id)] = name
        declared.append(helper.make_value_info(name, tensor_type(node.type)))
        if not writer.shared.batch and symbol("batch") in node.type.shape:
            axis = node.type.shape.index(symbol("batch"))
            writer.shared.batch = writer.emit(
                "Shape", name, wish="batch_size", start=axis, end=axis + 1)
    return declared


def _nodes(writer: Writer, weights: Mapping[str, np.ndarray]) -> None:
    missing: list[str] = []
    for node in writer.graph.nodes:
        if node.op == "input":
            continue
        try:
            for i, name in enumerate(_written(writer, node, weights)):
                writer.values[Ref(node.id, i)] = name
        except NoTranslation as error:
            where = f"{node.origin.span}: " if node.origin.span else ""
            missing.append(f"{where}{node.op}: {error}")
            for i in range(len(node.types)):
                writer.values[Ref(node.id, i)] = "missing"
    if missing:
        notes = tuple(dict.fromkeys(missing))
        raise OnnxError("onnx-export", "ONNX has no words for parts of the model", notes=notes)


def _written(writer: Writer, node: Node, weights: Mapping[str, np.ndarray]) -> list[str]:
    if "bf16" in (t.dtype for t in (*node.types, *writer.types(node))):
        raise NoTranslation("bf16 is not exported")  # here it is bits in a uint16
    match node.op:
        case "variable":
            path = node.attrs["path"]
            return [writer.shared.constant(weights[path], path)]
        case "const":
            value = np.asarray(node.attrs["value"], DTYPES[node.type.dtype].storage)
            return [writer.shared.constant(np.broadcast_to(value, node.type.sizes))]
        case "dim":
            return [_dim(writer, node)]
        case "scan":
            return _scan(writer, node, weights)
    rule = RULES.get(node.op)
    if rule is None:
        raise NoTranslation("no operator of ONNX does this")
    return [rule(writer, node)]


def _dim(writer: Writer, node: Node) -> str:
    value = node.attrs["value"]
    if not isinstance(value, Poly):
        return writer.number(value, node.type.dtype)
    return writer.cast(writer.emit("Squeeze", writer.size(value)), node.type.dtype)


def _scan(writer: Writer, node: Node, weights: Mapping[str, np.ndarray]) -> list[str]:
    """ONNX's Scan; what the body captures it sees by name."""
    from onnx import helper

    assert node.body is not None
    attrs, operands = node.attrs, writer.operands(node)
    walked, carried = attrs["sequences"], attrs["carries"]
    body = Writer(node.body, writer.shared)
    given = {}
    for inner in node.body.nodes:
        if inner.op != "input":
            continue
        name = inner.attrs["name"]
        kind, number = name[0], int(name[1:])
        if kind == "k":
            body.values[Ref(inner.id)] = operands[walked + carried + number]
            continue
        own = writer.shared.new(f"round_{name}")
        body.values[Ref(inner.id)] = own
        given[kind, number] = helper.make_value_info(own, tensor_type(inner.type))
    _nodes(body, weights)
    results = []
    for output in node.body.outputs:
        own = body.emit("Identity", body.values[output.value])
        results.append(helper.make_value_info(own, tensor_type(node.body.type_of(output.value))))
    inputs = [*(given["c", i] for i in range(carried)), *(given["x", i] for i in range(walked))]
    graph = helper.make_graph(body.nodes, "round", inputs, results)
    sequences = [_to_front(writer, operands[i], writer.types(node)[i].rank, attrs["axes"][i],
                           attrs["reverse"]) for i in range(walked)]
    yields = len(node.body.outputs) - carried
    made = writer.emit_many(
        "Scan", [*operands[walked: walked + carried], *sequences], carried + yields,
        body=graph, num_scan_inputs=walked)
    collected = [_from_front(writer, name, node.types[carried + i].rank, attrs["yield_axes"][i],
                             attrs["reverse"]) for i, name in enumerate(made[carried:])]
    return [*made[:carried], *collected]


def _to_front(writer: Writer, value: str, rank: int, axis: int, backwards: bool) -> str:
    """The walked axis first and forwards, which every runtime can do."""
    if axis:
        order = [axis, *(i for i in range(rank) if i != axis)]
        value = writer.emit("Transpose", value, perm=order)
    return _turned(writer, value) if backwards else value


def _from_front(writer: Writer, value: str, rank: int, axis: int, backwards: bool) -> str:
    value = _turned(writer, value) if backwards else value
    if not axis:
        return value
    order = [*range(1, axis + 1), 0, *range(axis + 1, rank)]
    return writer.emit("Transpose", value, perm=order)


def _turned(writer: Writer, value: str) -> str:
    """The first axis backwards."""
    first, step, end = writer.ints([0]), writer.ints([-1]), writer.ints([-END])
    return writer.emit("Slice", value, step, end, first, step)


def _check(proto: Any) -> None:
    """A model that ONNX's own checker refuses is a bug of ours."""
    from onnx import checker

    checker.check_model(proto, full_check=True)
