"""Nodes whose operands are known are computed while importing, with ONNX's own reference.

Shapes are followed further than that: an array of sizes may hold some that are open, such as the
batch, and a small table of operators knows how to go on with those.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flowc.onnx.errors import OnnxError, Unsupported
from flowc.onnx.model import Graph, Node
from flowc.onnx.values import settled
from flowc_runtime.dims import NotExact, divide

MAX_ELEMENTS = 1 << 27  # of a tensor that is computed while importing
RANDOM = frozenset({
    "RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli",
    "Multinomial", "Dropout",
})  # fmt: skip
MAX_SIZES = 16  # numbers in an operand that may be a shape
MULTIPLYING = frozenset({
    "Einsum", "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "MaxPool",
    "AveragePool", "LpPool", "MaxUnpool", "GatherND", "MatMulInteger", "QLinearMatMul",
    "AffineGrid", "GridSample", "RoiAlign", "MaxRoiPool", "Col2Im", "CenterCropPad", "DFT", "STFT",
    "HannWindow", "HammingWindow", "BlackmanWindow", "MelWeightMatrix", "RNN", "GRU", "LSTM",
    "Attention",
})  # of which a small operand makes a large result: refused unless a rough bound is low
Arrays = Sequence[np.ndarray | None]


def is_foldable(node: Node) -> bool:
    graphs = any(isinstance(value, Graph) for value in node.attrs.values())
    return node.domain == "" and node.op not in RANDOM and not graphs


def fold(node: Node, arrays: Arrays) -> list[np.ndarray]:
    """What the node makes of known operands. Raises Unsupported where nobody can say."""
    if any(a is not None and a.dtype == object for a in arrays):
        return [settled(_open(node, arrays))]
    _check_size(node, arrays)
    return _computed(node, arrays)


def _computed(node: Node, arrays: Arrays) -> list[np.ndarray]:
    from onnx import helper
    from onnx.reference import ReferenceEvaluator

    try:
        proto = node_proto(node)
        given = {n: a for n, a in zip(node.inputs, arrays, strict=True) if n and a is not None}
        inputs = [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), None)
                  for n, a in given.items()]  # fmt: skip
        outputs = [helper.make_value_info(n, helper.make_tensor_type_proto(0, None))
                   for n in node.outputs if n]  # fmt: skip
        graph = helper.make_graph([proto], "node", inputs, outputs)
        opset = helper.make_opsetid("", max(node.version, 1))
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            model = helper.make_model(graph, opset_imports=[opset])
            results = ReferenceEvaluator(model).run(None, given)
    except Exception as error:  # the reference raises whatever its NumPy code runs into
        raise Unsupported(f"it cannot be computed: {_short(error)}") from None
    made = iter(results)
    return [np.asarray(next(made)) if name else np.zeros(0) for name in node.outputs]


def node_proto(node: Node) -> Any:
    """The node as ONNX's own code takes it."""
    from onnx import helper, numpy_helper

    attrs = {k: numpy_helper.from_array(v) if isinstance(v, np.ndarray) else v
             for k, v in node.attrs.items()}  # fmt: skip
    return helper.make_node(node.op, node.inputs, node.outputs, **attrs)


def _short(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _check_size(node: Node, arrays: Arrays) -> None:
    """Refuses what would fill the memory before it is computed."""
    total = _elements(node, arrays)
    if total > MAX_ELEMENTS:
        raise OnnxError("onnx-limit", f"{node.op} at {node.place} makes a constant of {total} "
                        f"elements; at most {MAX_ELEMENTS} are computed while importing")


def _elements(node: Node, arrays: Arrays) -> int:
    first = arrays[0] if arrays else None
    match node.op:
        case "ConstantOfShape":
            return _product(first)
        case "Expand" if arrays[1] is not None and first is not None:
            return max(_product(arrays[1]), 1) * max(first.size, 1)
        case "Tile" if arrays[1] is not None and first is not None:
            return first.size * _product(arrays[1])
        case "Range":
            start, limit, delta = (1.0 if a is None else float(a.reshape(-1)[0]) for a in arrays)
            return int(abs((limit - start) / delta)) if delta else 0
        case "OneHot" if first is not None and arrays[1] is not None:
            return first.size * int(np.max(arrays[1], initial=0))
        case "Pad" if first is not None:
            given = arrays[1] if len(arrays) > 1 else None
            pads = np.array(node.attrs.get("pads", [0])) if given is None else given
            return first.size + int(np.abs(pads).sum()) * max(first.size, 1)
        case "Resize" | "Upsample":
            scales = [a for a in arrays[1:] if a is not None and a.size]
            size = 1 if first is None else first.size
            return max((_product(np.ceil(a)) for a in scales), default=1) * size
        case "Gather" if first is not None and arrays[1] is not None:
            axis = node.attrs.get("axis", 0)
            return int(first.size // max(first.shape[axis], 1) * arrays[1].size)
        case "MatMul" | "Gemm" if first is not None and arrays[1] is not None:
            inner = first.shape[0 if node.attrs.get("transA") else -1] if first.ndim else 1
            return int(first.size * arrays[1].size // max(inner, 1) ** 2)
    present = [a for a in arrays if a is not None]
    total = sum(a.size for a in present)
    if node.op in MULTIPLYING:
        return math.prod(max(a.size, 1) for a in present) * _numbers(node, present)
    try:
        shapes = [a.shape for a in present]
        return max(total, int(np.prod(np.broadcast_shapes(*shapes), dtype=object)))
    except ValueError:
        return total


def _numbers(node: Node, arrays: Sequence[np.ndarray]) -> int:
    """The product of all whole numbers that may be sizes, pads or strides."""
    given = [v for value in node.attrs.values() for v in np.ravel(value)]
    said = [v for v in given if isinstance(v, np.integer)]
    said += [v for a in arrays if a.dtype.kind in "iu" and a.size <= MAX_SIZES for v in a.flat]
    return math.prod(abs(int(v)) + 1 for v in said)


def _product(array: np.ndarray | None) -> int:
    if array is None:
        return 0
    return int(np.prod(np.maximum(array, 0).astype(object).ravel(), dtype=object))


# --- arrays of sizes, some of them open --------------------------------------------------------


def _open(node: Node, arrays: Arrays) -> np.ndarray:
    rule = OPEN.get(node.op)
    if rule is None:
        raise Unsupported("it computes with a size that depends on the batch")
    try:
        return np.asarray(rule(node, [None if a is None else a for a in arrays]), object)
    except (NotExact, TypeError, ValueError, IndexError) as error:
        raise Unsupported(f"with a size that depends on the batch: {error}") from None


def _divided(a: Any, b: Any) -> Any:
    return np.frompyfunc(lambda x, y: x // y if _whole(x, y) else divide(x, y), 2, 1)(a, b)


def _whole(*values: Any) -> bool:
    return all(isinstance(v, (int, np.integer)) for v in values)


def _gathered(node: Node, arrays: list[Any]) -> Any:
    return np.take(arrays[0], arrays[1].astype(np.int64), axis=node.attrs.get("axis", 0))


def _sliced(node: Node, arrays: list[Any]) -> Any:
    attrs = node.attrs
    starts, ends = (
        (attrs["starts"], attrs["ends"]) if "starts" in attrs
        else ([int(v) for v in arrays[1]], [int(v) for v in arrays[2]])
    )
    axes = attrs.get("axes") or (
        [int(v) for v in arrays[3]] if len(arrays) > 3 and arrays[3] is not None else [0])
    steps = [int(v) for v in arrays[4]] if len(arrays) > 4 and arrays[4] is not None else [1]
    if len(axes) != 1 or len(steps) != 1 or axes[0] not in (0, -1):
        raise Unsupported("it cuts sizes along several axes")
    return np.asarray(arrays[0][slice(starts[0], ends[0], steps[0])])


def _axes(node: Node, arrays: list[Any]) -> list[int]:
    given = node.attrs.get("axes")
    if given is None and len(arrays) > 1 and arrays[1] is not None:
        given = [int(a) for a in arrays[1]]
    return list(given or [])


def _squeezed(node: Node, arrays: list[Any]) -> Any:
    axes = _axes(node, arrays)
    return np.squeeze(arrays[0], tuple(axes) if axes else None)


def _unsqueezed(node: Node, arrays: list[Any]) -> np.ndarray:
    array = np.asarray(arrays[0], object)
    axes = _axes(node, arrays)
    rank = array.ndim + len(axes)
    return np.expand_dims(array, tuple(a % rank for a in axes))


def _multiplied(node: Node, arrays: list[Any]) -> np.ndarray:
    total: Any = 1
    for value in np.ravel(arrays[0]):
        total = total * value
    return np.asarray([total], object) if node.attrs.get("keepdims", 1) else _scalar(total)


def _scalar(value: Any) -> np.ndarray:
    array = np.empty((), object)
    array[()] = value
    return array


def _same(node: Node, arrays: list[Any]) -> np.ndarray:
    return np.asarray(arrays[0])


def _cast(node: Node, arrays: list[Any]) -> np.ndarray:
    if node.attrs.get("to") not in (6, 7):
        raise Unsupported("it makes a fraction of a size that depends on the batch")
    return np.asarray(arrays[0])


def _chosen(node: Node, arrays: list[Any]) -> Any:
    return np.where(arrays[0].astype(bool), arrays[1], arrays[2])


def _joined(node: Node, arrays: list[Any]) -> Any:
    return np.concatenate(arrays, axis=node.attrs.get("axis", 0))


def _equal(node: Node, arrays: list[Any]) -> Any:
    return np.frompyfunc(lambda a, b: a == b, 2, 1)(arrays[0], arrays[1]).astype(bool)


OPEN: dict[str, Callable[[Node, list[Any]], Any]] = {
    "Identity": _same,
    "Cast": _cast,
    "Gather": _gathered,
    "Slice": _sliced,
    "Concat": _joined,
    "Squeeze": _squeezed,
    "Unsqueeze": _unsqueezed,
    "Reshape": lambda node, a: np.reshape(a[0], a[1].astype(np.int64)),
    "Add": lambda node, a: a[0] + a[1],
    "Sub": lambda node, a: a[0] - a[1],
    "Mul": lambda node, a: a[0] * a[1],
    "Div": lambda node, a: _divided(a[0], a[1]),
    "Neg": lambda node, a: -a[0],
    "ReduceProd": _multiplied,
    "Where": _chosen,
    "Equal": _equal,
}
