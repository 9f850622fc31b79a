"""Ops that move elements, choose them by index, and multiply matrices."""

from __future__ import annotations

import numpy as np

from flowc.graph.graph import Node
from flowc.onnx.export.elementwise import Rule
from flowc.onnx.export.writer import NoTranslation, Writer
from flowc_runtime.types import DTYPES

END = np.iinfo(np.int64).max


def _reshape(w: Writer, node: Node) -> str:
    return w.emit("Reshape", w.operands(node)[0], w.shape(node.type.shape))


def _transpose(w: Writer, node: Node) -> str:
    return w.emit("Transpose", *w.operands(node), perm=list(node.attrs["perm"]))


def _broadcast(w: Writer, node: Node) -> str:
    return w.emit("Expand", w.operands(node)[0], w.shape(node.type.shape))


def _iota(w: Writer, node: Node) -> str:
    """The positions of one axis, the same along all others."""
    shape, axis, dtype = node.type.shape, node.attrs["axis"], node.type.dtype
    size = shape[axis]
    if isinstance(size, int):
        line = w.shared.constant(np.arange(size).astype(DTYPES[dtype].storage))
    else:
        limit = w.emit("Squeeze", w.size(size))
        zero, one = w.number(0, "i64"), w.number(1, "i64")
        line = w.cast(w.emit("Range", zero, limit, one), dtype)
    if len(shape) == 1:
        return line
    apart = [1] * len(shape)
    apart[axis] = -1
    return w.emit("Expand", w.emit("Reshape", line, w.ints(apart)), w.shape(shape))


def _concat(w: Writer, node: Node) -> str:
    return w.emit("Concat", *w.operands(node), axis=node.attrs["axis"])


def _pad(w: Writer, node: Node) -> str:
    pads = w.ints([*node.attrs["before"], *node.attrs["after"]])
    value = w.number(node.attrs["value"], node.type.dtype)
    return w.emit("Pad", w.operands(node)[0], pads, value, mode="constant")


def _slice(w: Writer, node: Node) -> str:
    attrs = node.attrs
    # below 0 ONNX counts from the end, so "before the first" is the smallest number there is
    stops = [END if s is None else -END if s < 0 else s for s in attrs["stops"]]
    axes = list(range(len(stops)))
    return w.emit("Slice", w.operands(node)[0], w.ints(attrs["starts"]), w.ints(stops),
                  w.ints(axes), w.ints(attrs["steps"]))


def _gather(w: Writer, node: Node) -> str:
    return w.emit("Gather", *w.operands(node), axis=0)


def _scatter_add(w: Writer, node: Node) -> str:
    index, updates = w.operands(node)
    places = w.emit("Unsqueeze", w.cast(index, "i64"), w.ints([-1]))
    table = w.zeros(node.type.shape, node.type.dtype)
    return w.emit("ScatterND", table, places, updates, reduction="add")


def _take_along(w: Writer, node: Node) -> str:
    x, index = w.operands(node)
    last = w.types(node)[0].rank - 1
    places = w.emit("Unsqueeze", index, w.ints([last]))
    return w.emit("Squeeze", w.emit("GatherElements", x, places, axis=last), w.ints([last]))


def _gather_along(w: Writer, node: Node) -> str:
    return w.emit("GatherElements", *w.operands(node), axis=node.attrs["axis"])


def _scatter_add_along(w: Writer, node: Node) -> str:
    index, updates = w.operands(node)
    table = w.zeros(node.type.shape, node.type.dtype)
    return w.emit("ScatterElements", table, index, updates, axis=node.attrs["axis"],
                  reduction="add")


def _matmul(w: Writer, node: Node) -> str:
    sides = []
    for value, type_, turned in zip(
        w.operands(node), w.types(node),
        (node.attrs["transpose_a"], node.attrs["transpose_b"]), strict=True,
    ):
        if turned:
            perm = [*range(type_.rank - 2), type_.rank - 1, type_.rank - 2]
            value = w.emit("Transpose", value, perm=perm)
        sides.append(value)
    return w.emit("MatMul", *sides)


def _orthogonalize(w: Writer, node: Node) -> str:
    raise NoTranslation("ONNX has no QR decomposition")


RULES: dict[str, Rule] = {
    "reshape": _reshape, "transpose": _transpose, "broadcast": _broadcast, "iota": _iota,
    "concat": _concat, "pad": _pad, "slice": _slice, "gather": _gather,
    "scatter_add": _scatter_add, "take_along": _take_along, "gather_along": _gather_along,
    "scatter_add_along": _scatter_add_along, "matmul": _matmul, "orthogonalize": _orthogonalize,
}  # fmt: skip
