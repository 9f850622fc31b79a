"""A naive evaluator of graphs: each node by its kernel into fresh arrays. The oracle of tests."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowc.graph.graph import Graph, Node, Ref
from flowc_runtime.expression import ROW_OPS, Arg, Line, literal_dtype, parse_expression
from flowc_runtime.ops import CATALOG
from flowc_runtime.types import DTYPES, TensorType

Arrays = Mapping[str, np.ndarray]


def evaluate(graph: Graph, inputs: Arrays, variables: Arrays) -> dict[str, np.ndarray]:
    """The outputs by name, and the new value of each updated variable as `PATH <-`."""
    values: dict[Ref, np.ndarray] = {}
    with np.errstate(all="ignore"):
        for node in graph.nodes:
            results = _results(node, [values[r] for r in node.operands], inputs, variables)
            for i, (type, result) in enumerate(zip(node.types, results, strict=True)):
                assert result.shape == type.sizes and result.dtype == type.storage, node
                values[Ref(node.id, i)] = result
    named = {output.name: values[output.value] for output in graph.outputs}
    for update in graph.updates:
        named[f"{graph.nodes[update.variable].attrs['path']} <-"] = values[update.value]
    return named


def _results(
    node: Node, operands: list[np.ndarray], inputs: Arrays, variables: Arrays
) -> list[np.ndarray]:
    if node.op == "input":
        return [inputs[node.attrs["name"]]]
    if node.op == "variable":
        return [variables[node.attrs["path"]]]
    if node.op in ("const", "dim"):
        return [np.array(node.attrs["value"], node.type.storage).reshape(node.type.sizes)]
    if node.op == "scan":
        return _scan(node, operands)
    if node.op == "fused":
        return _fused(node, operands)
    return _call(node.op, operands, _types(operands), node.attrs, node.types)


def _call(
    name: str,
    operands: list[np.ndarray],
    types: tuple[TensorType, ...],
    attrs: Mapping[str, object],
    results: tuple[TensorType, ...],
) -> list[np.ndarray]:
    op = CATALOG[name]
    assert op.kernel is not None
    outs = [np.zeros(type.sizes, type.storage) for type in results]
    scratch = np.empty(op.scratch_bytes(types, results, attrs) + 64, np.uint8)
    start = -scratch.ctypes.data % 64
    op.kernel(outs, operands, attrs, scratch[start:])
    return outs


def _types(arrays: list[np.ndarray]) -> tuple[TensorType, ...]:
    dtypes = {info.storage: name for name, info in DTYPES.items()}
    return tuple(TensorType(dtypes[a.dtype], a.shape) for a in arrays)


def _fused(node: Node, operands: list[np.ndarray]) -> list[np.ndarray]:
    """Line by line over the whole tensors."""
    values = {f"i{k}": array for k, array in enumerate(operands)}
    for line in parse_expression(node.attrs["lines"]).lines:
        types = dict(zip(values, _types(list(values.values())), strict=True))
        values[line.name] = _line(line, values, types)
    results = []
    for k, type in enumerate(node.types):
        results.append(np.broadcast_to(values[f"o{k}"], type.sizes).copy())
    return results


def _line(
    line: Line, values: Mapping[str, np.ndarray], types: Mapping[str, TensorType]
) -> np.ndarray:
    def array(arg: Arg) -> np.ndarray:
        if isinstance(arg, str):
            return values[arg]
        return np.array(arg, DTYPES[literal_dtype(line, types)].storage)

    operands = [array(arg) for arg in line.args]
    operand_types = _types(operands)
    name, attrs = line.op, dict(line.attrs)
    if name in ROW_OPS:
        name, attrs = ROW_OPS[name], {"axes": (operands[0].ndim - 1,), "keep": True}
    results = CATALOG[name].infer(operand_types, attrs)
    return _call(name, operands, operand_types, attrs, results)[0]


def _scan(node: Node, operands: list[np.ndarray]) -> list[np.ndarray]:
    assert node.body is not None
    attrs = node.attrs
    sequences, carries = attrs["sequences"], attrs["carries"]
    carried = operands[sequences : sequences + carries]
    rounds = range(attrs["length"])
    rows: list[dict[str, np.ndarray]] = [{} for _ in rounds]
    for t in reversed(rounds) if attrs["reverse"] else rounds:
        inputs = {f"c{i}": array for i, array in enumerate(carried)}
        inputs |= {f"k{i}": a for i, a in enumerate(operands[sequences + carries :])}
        for i, axis in enumerate(attrs["axes"]):
            inputs[f"x{i}"] = np.array(np.take(operands[i], t, axis))
        rows[t] = evaluate(node.body, inputs, {})
        carried = [rows[t][f"c{i}"] for i in range(carries)]
    stacked = [
        np.stack([row[f"y{i}"] for row in rows], axis)
        if rows
        else np.zeros(node.types[carries + i].sizes, node.types[carries + i].storage)
        for i, axis in enumerate(attrs["yield_axes"])
    ]
    return [*carried, *stacked]
