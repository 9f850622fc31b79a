"""Convolution, pooling and resizing, with the channels moved to where ONNX wants them."""

from __future__ import annotations

from typing import Any

from flowc.graph.graph import Node
from flowc.onnx.export.elementwise import Rule
from flowc.onnx.export.writer import NoTranslation, Writer
from flowc_runtime.dims import Dim, Poly


def _first(w: Writer, value: str, rank: int) -> str:
    """Channels first."""
    return w.emit("Transpose", value, perm=[0, rank - 1, *range(1, rank - 1)])


def _last(w: Writer, value: str, rank: int) -> str:
    return w.emit("Transpose", value, perm=[0, *range(2, rank), 1])


def _fixed(size: Dim) -> int:
    if isinstance(size, Poly):
        raise NoTranslation("a size that depends on the batch")
    return size


def _pads(padding: Any) -> list[int]:
    return [low for low, _ in padding] + [high for _, high in padding]


def _settings(node: Node) -> dict[str, Any]:
    attrs = node.attrs
    return {"strides": list(attrs["stride"]), "pads": _pads(attrs["padding"]),
            "dilations": list(attrs["dilation"])}  # fmt: skip


def _kernel(w: Writer, value: str, rank: int) -> str:
    """[axes, in, out] as [out, in, axes]."""
    return w.emit("Transpose", value, perm=[rank - 1, rank - 2, *range(rank - 2)])


def _conv(w: Writer, node: Node) -> str:
    (x, kernel), rank = w.operands(node), node.type.rank
    made = w.emit("Conv", _first(w, x, rank), _kernel(w, kernel, rank),
                  group=node.attrs["groups"], **_settings(node))
    return _last(w, made, rank)


def _conv_transpose(w: Writer, node: Node) -> str:
    """The gradient of a convolution by its image; what it is short of the shape is padding."""
    (g, kernel), rank = w.operands(node), node.type.rank
    types, attrs = w.types(node), node.attrs
    extra = []
    for i in range(rank - 2):
        window = (_fixed(types[1].shape[i]) - 1) * attrs["dilation"][i] + 1
        size = (_fixed(types[0].shape[1 + i]) - 1) * attrs["stride"][i] + window
        extra.append(_fixed(node.type.shape[1 + i]) - size + sum(attrs["padding"][i]))
    made = w.emit("ConvTranspose", _first(w, g, rank), _kernel(w, kernel, rank),
                  group=attrs["groups"], output_padding=extra, **_settings(node))
    return _last(w, made, rank)


def _max_pool(w: Writer, node: Node) -> str:
    rank = node.type.rank
    made = w.emit("MaxPool", _first(w, w.operands(node)[0], rank),
                  kernel_shape=list(node.attrs["window"]), **_settings(node))
    return _last(w, made, rank)


def _avg_pool(w: Writer, node: Node) -> str:
    attrs, rank = node.attrs, node.type.rank
    counted = attrs["counted"]
    if any(sum(pair) for pair in counted) and counted != attrs["padding"]:
        raise NoTranslation("a mean that counts a part of the padding")
    settings = _settings(node)
    if all(d == 1 for d in attrs["dilation"]):
        del settings["dilations"]  # opset 18 has none for means
    else:
        raise NoTranslation("a mean of dilated windows")
    counts = int(any(sum(pair) for pair in counted))
    made = w.emit("AveragePool", _first(w, w.operands(node)[0], rank), count_include_pad=counts,
                  kernel_shape=list(attrs["window"]), **settings)
    return _last(w, made, rank)


def _resize(w: Writer, node: Node) -> str:
    attrs, rank = node.attrs, node.type.rank
    old = [_fixed(d) for d in w.types(node)[0].shape[1:-1]]
    new = list(attrs["sizes"])
    settings = {"mode": "linear"} if attrs["method"] == "linear" else {
        "mode": "nearest", "nearest_mode": attrs["method"]}
    channels = node.type.shape[-1]
    sizes = w.shape([node.type.shape[0], channels, *new])
    made = w.emit("Resize", _first(w, w.operands(node)[0], rank), "", "", sizes,
                  coordinate_transformation_mode=_coordinates(attrs, old, new), **settings)
    return _last(w, made, rank)


def _coordinates(attrs: Any, old: list[int], new: list[int]) -> str:
    if all(tuple(r) == (a, b) for r, a, b in zip(attrs["ratio"], old, new, strict=True)):
        return "half_pixel" if attrs["shift"] == 0.5 else "asymmetric"
    if attrs["shift"] == 0:
        return "align_corners"
    raise NoTranslation("elements placed by a rule of its own")


RULES: dict[str, Rule] = {
    "conv": _conv, "conv_input_grad": _conv_transpose, "max_pool": _max_pool,
    "avg_pool": _avg_pool, "resize": _resize,
}  # fmt: skip
