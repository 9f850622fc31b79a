"""Linear transforms by a matrix, which ONNX's own reference makes from unit rows."""

from __future__ import annotations

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.fold import fold
from flowc.onnx.model import Node
from flowc.onnx.text import Expr, Infix, call
from flowc.onnx.values import Known, Tensor, fixed, order_of

MAX_MATRIX = 1 << 24  # elements


def dft(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """The discrete Fourier transform along an axis, the last axis being real and imaginary part."""
    x, length, given = [*inputs, None, None][:3]
    axis = node.attrs.get("axis", 1 if node.version < 20 else -2)
    if given is not None:
        axis = b.integers(given, "the axis")[0]
    x = b.tensor(x)
    axis %= x.rank
    size, parts = fixed(x.shape[axis]), fixed(x.shape[-1])
    unit = np.eye(size * parts, dtype=np.float32).reshape(size * parts, size, parts)
    arrays: list[np.ndarray | None] = [
        unit, None if length is None else b.array(length, "the length"), None]
    attrs = {k: v for k, v in node.attrs.items() if k != "axis"}
    if node.version < 20:
        attrs["axis"] = 1
        arrays = arrays[:2]
    else:
        arrays[2] = np.array(1, np.int64)
    return _applied(b, node, x, axis, _matrix(node, attrs, arrays))


def _matrix(node: Node, attrs: dict[str, object], arrays: list[np.ndarray | None]) -> np.ndarray:
    """What becomes of each unit row: [elements in, ...]."""
    assert arrays[0] is not None
    if arrays[0].size > MAX_MATRIX:
        raise Unsupported("a matrix of too many elements")
    names = tuple(f"i{i}" if a is not None else "" for i, a in enumerate(arrays))
    unit = Node(node.op, "", "", node.index, names, ("unit",), attrs, node.version)
    return fold(unit, arrays)[0]


def _applied(b: Bench, node: Node, x: Tensor, axis: int, matrix: np.ndarray) -> Tensor:
    """The matrix over one axis and the last, as one."""
    others = [a for a in range(x.rank - 1) if a != axis]
    moved = b.in_order(x, order_of([*others, axis, x.rank - 1]))
    lead = list(moved.type.shape[:-2])
    rows, length, parts = matrix.shape
    product = _times(b, node, call("reshape", moved.expr, [*lead, rows]), matrix)
    return b.bind(node, call("reshape", product, [*lead, length, parts]), order=moved.order)


def _times(b: Bench, node: Node, rows: Expr, matrix: np.ndarray) -> Expr:
    """Rows by a constant matrix [elements in, ...], whose other axes count as one."""
    flat = matrix.reshape(len(matrix), -1)
    held = b.desk.variable(f"{b.wish(node)}_matrix", flat, learns=False)
    return Infix("@", rows, held.expr)


def stft(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """The Fourier transform of frames of a signal [batch, time, 1]."""
    signal, step, window, length = [*inputs, None, None][:4]
    hop = b.integers(step, "the step")[0]
    x = b.tensor(signal)
    size = fixed(x.shape[1])
    if x.rank == 3 and x.shape[2] != 1:
        raise Unsupported("a complex signal")
    width = window.shape[0] if window is not None else b.integers(length, "the length")[0]
    shape = np.ones(width, np.float32) if window is None else b.array(window, "the window")
    spectrum = np.fft.fft(np.eye(width) * shape.astype(np.float64), axis=-1)
    if node.attrs.get("onesided", 1):
        spectrum = spectrum[:, : width // 2 + 1]
    matrix = np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)
    frames = (size - width) // hop + 1
    places = (np.arange(frames)[:, None] * hop + np.arange(width)).astype(np.int32)
    rows = b.desk.variable(f"{b.wish(node)}_frames", places, learns=False)
    flat = call("reshape", x.expr, [x.shape[0], size])
    cut = call("permute", call("lookup", call("transpose", flat), rows.expr), [2, 0, 1])
    product = _times(b, node, cut, matrix)
    return b.bind(node, call("reshape", product, [x.shape[0], frames, matrix.shape[1], 2]))


def col2im(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """Columns added back into the images that they were cut from."""
    x = b.tensor(inputs[0])
    shape, block = b.integers(inputs[1], "the sizes"), b.integers(inputs[2], "the block")
    inside, count = int(np.prod(block)), fixed(x.shape[2])
    channels = fixed(x.shape[1]) // inside
    rows = inside * count
    unit = np.eye(rows, dtype=np.float32).reshape(rows, inside, count)
    matrix = _matrix(node, dict(node.attrs), [unit, np.array(shape), np.array(block)])
    product = _times(b, node, call("reshape", x.expr, [x.shape[0], channels, rows]), matrix)
    return b.bind(node, call("reshape", product, [x.shape[0], channels, *shape]))


def known_only(what: str) -> Translate:
    """An operator whose operands shape the text itself: all of them must be known."""

    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Known:
        for value in inputs:
            b.array(value, what)
        raise Unsupported("it cannot be computed")

    return translate


TRANSLATIONS: dict[str, Translate] = {
    "DFT": dft, "STFT": stft, "Col2Im": col2im, "Range": known_only("its bounds"),
    "MelWeightMatrix": known_only("its bounds"), "BlackmanWindow": known_only("the size"),
    "HannWindow": known_only("the size"), "HammingWindow": known_only("the size"),
}  # fmt: skip
