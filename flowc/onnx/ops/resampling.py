"""Resize: along each axis, by index for the nearest element, by a matrix for all other modes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import Node
from flowc.onnx.text import Expr, Infix, call
from flowc.onnx.values import Known, Tensor, fixed, order_of

ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda p: np.ceil(p - 0.5),
    "round_prefer_ceil": lambda p: np.floor(p + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def resize(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """Nearest, linear and cubic, by any of ONNX's rules for where an element lies."""
    x = b.as_it_lies(inputs[0])
    if any(not isinstance(d, int) for d in x.shape[1:]):
        raise Unsupported("sizes that are not known")
    lengths, scales = _target(b, node, inputs, x)
    crops = _crops(b, node, inputs, x)
    for axis, (length, scale) in enumerate(zip(lengths, scales, strict=True)):
        if length is not None or axis in crops:
            length = fixed(x.shape[axis]) if length is None else length
            x = _along(b, node, x, axis, length, scale, crops.get(axis))
    return x


def _crops(
    b: Bench, node: Node, inputs: list[Operand], x: Tensor
) -> dict[int, tuple[float, float]]:
    """The part of each axis that is resized, where the node has one: from and to, of 1."""
    if node.attrs.get("coordinate_transformation_mode") != "tf_crop_and_resize":
        return {}
    roi = [float(v) for v in b.array(inputs[1], "the part").reshape(-1)]
    axes = [a % x.rank for a in node.attrs.get("axes") or range(x.rank)]
    parts = {a: (roi[i], roi[i + len(axes)]) for i, a in enumerate(axes)}
    return {a: p for a, p in parts.items() if p != (0, 1)}


def _target(
    b: Bench, node: Node, inputs: list[Operand], x: Tensor
) -> tuple[list[int | None], list[float]]:
    """For each axis its new length (None: it stays) and the scale."""
    sizes, given = _asked(b, node, inputs)
    axes = node.attrs.get("axes") or list(range(x.rank))
    axes = [a % x.rank for a in axes]
    lengths: list[int | None] = [None] * x.rank
    scales = [1.0] * x.rank
    if sizes is not None:
        sizes, ratio = _kept_aspect(node, [x.shape[a] for a in axes], sizes)
        for axis, size in zip(axes, sizes, strict=True):
            if size != x.shape[axis]:
                lengths[axis] = size
                scales[axis] = ratio if ratio else size / fixed(x.shape[axis])
        return lengths, scales
    for axis, scale in zip(axes, given, strict=True):
        if scale != 1:
            lengths[axis] = math.floor(fixed(x.shape[axis]) * scale)
            scales[axis] = float(scale)
    return lengths, scales


def _asked(b: Bench, node: Node, inputs: list[Operand]) -> tuple[list[Any] | None, list[float]]:
    if "scales" in node.attrs:
        return None, list(node.attrs["scales"])
    if node.op == "Upsample" or node.version < 11:
        return None, [float(s) for s in b.array(inputs[1], "the scales").reshape(-1)]
    given = [*inputs, None, None, None]
    if given[3] is not None and not (isinstance(given[3], Known) and given[3].array.size == 0):
        return b.ints(given[3], "the sizes"), []
    return None, [float(s) for s in b.array(given[2], "the scales").reshape(-1)]


def _kept_aspect(node: Node, old: list[Any], sizes: list[Any]) -> tuple[list[Any], float]:
    policy = node.attrs.get("keep_aspect_ratio_policy", "stretch")
    if policy == "stretch":
        return sizes, 0.0
    ratios = [s / o for s, o in zip(sizes, old, strict=True)]
    ratio = min(ratios) if policy == "not_larger" else max(ratios)
    return [int(math.floor(ratio * o + 0.5)) for o in old], ratio


def _along(
    b: Bench, node: Node, x: Tensor, axis: int, length: int, scale: float,
    crop: tuple[float, float] | None,
) -> Tensor:
    """One axis, moved to where the work is plain: the front for rows, the end for a product."""
    size = fixed(x.shape[axis])
    mode = node.attrs.get("mode", "nearest")
    where = places(node, size, length, scale) if crop is None else _cropped(size, length, crop)
    outside = (where < 0) | (where > size - 1) if crop else np.zeros(length, bool)
    if mode == "nearest" and not outside.any():
        return _nearest(b, node, x, axis, length, where)
    matrix = weights(node, size, length, scale, where)
    matrix[outside] = 0
    moved = b.in_order(x, order_of([*(a for a in x.axes if a != axis), axis]))
    product: Expr = Infix("@", moved.expr, _fixed(b, node, matrix.T).expr)
    value = node.attrs.get("extrapolation_value", 0.0)
    if outside.any() and value:
        beyond = b.desk.variable(
            f"{b.wish(node)}_beyond", (outside * value).astype(np.float32), learns=False)
        product = Infix("+", product, beyond.expr)
    return b.bind(node, product, order=moved.order)


def _cropped(size: int, length: int, crop: tuple[float, float]) -> np.ndarray:
    start, end = crop
    if length == 1:
        return np.array([0.5 * (start + end) * (size - 1)])
    i = np.arange(length, dtype=np.float64)
    return start * (size - 1) + i * ((end - start) * (size - 1) / (length - 1))


def _fixed(b: Bench, node: Node, array: np.ndarray) -> Tensor:
    return b.desk.variable(f"{b.wish(node)}_weights", np.ascontiguousarray(array), learns=False)


def _nearest(
    b: Bench, node: Node, x: Tensor, axis: int, length: int, where: np.ndarray
) -> Tensor:
    rule = node.attrs.get("nearest_mode", "round_prefer_floor" if node.version >= 11 else "floor")
    size = fixed(x.shape[axis])
    rows = np.clip(ROUNDINGS[rule](where), 0, size - 1).astype(np.int32)
    factor = length // size
    here = x.place(axis)
    if factor * size == length and (rows == np.arange(length) // factor).all():
        shape = list(x.type.shape)
        spread = call("broadcast", call("expand", x.expr, here + 1),
                      [*shape[: here + 1], factor, *shape[here + 1 :]])
        return b.bind(node, call("reshape", spread, [*shape[:here], length, *shape[here + 1 :]]),
                      order=x.order)
    moved = b.in_order(x, order_of([axis, *(a for a in x.axes if a != axis)]))
    index = b.desk.variable(f"{b.wish(node)}_rows", rows, learns=False)
    return b.bind(node, call("lookup", moved.expr, index.expr), order=moved.order)


def places(node: Node, size: int, length: int, scale: float) -> np.ndarray:
    """Where each new element lies among the old ones."""
    old = node.op == "Upsample" or node.version < 11
    rule = "asymmetric" if old else node.attrs.get("coordinate_transformation_mode", "half_pixel")
    i = np.arange(length, dtype=np.float64)
    match rule:
        case "half_pixel":
            return (i + 0.5) / scale - 0.5
        case "pytorch_half_pixel":
            return (i + 0.5) / scale - 0.5 if length > 1 else np.zeros(1)
        case "align_corners":
            return i * ((size - 1) / (scale * size - 1)) if length > 1 else np.zeros(1)
        case "tf_crop_and_resize":
            return _cropped(size, length, (0.0, 1.0))
        case "asymmetric":
            return i / scale
        case "half_pixel_symmetric":
            adjusted = length / (scale * size)
            return size / 2 * (1 - adjusted) + (i + 0.5) / scale - 0.5
    raise Unsupported(f"elements placed by the rule {rule}")


def weights(
    node: Node, size: int, length: int, scale: float, where: np.ndarray
) -> np.ndarray:
    """A matrix [length, size]: how much of each old element is in each new one."""
    mode = node.attrs.get("mode", "nearest")
    kernel, reach = _kernel(mode, node.attrs.get("cubic_coeff_a", -0.75))
    shrink = min(scale, 1.0) if node.attrs.get("antialias", 0) else 1.0
    matrix = np.zeros((length, size))
    outside = bool(node.attrs.get("exclude_outside", 0))
    span = int(math.ceil(reach / shrink))
    for row, place in enumerate(where):
        first = int(math.floor(place)) - span + 1
        taps = np.arange(first, first + 2 * span)
        parts = kernel((taps - place) * shrink)
        if outside:
            parts = np.where((taps < 0) | (taps >= size), 0, parts)
        if outside or shrink < 1:
            parts = parts / parts.sum()
        np.add.at(matrix[row], np.clip(taps, 0, size - 1), parts)
    return matrix.astype(np.float32)


def _kernel(mode: str, a: float) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
    if mode in ("linear", "bilinear"):
        return lambda d: np.maximum(0, 1 - np.abs(d)), 1
    if mode != "cubic":
        raise Unsupported(f"the mode {mode}")

    def cubic(d: np.ndarray) -> np.ndarray:
        d = np.abs(d)
        near = ((a + 2) * d - (a + 3)) * d * d + 1
        far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return cubic, 2
