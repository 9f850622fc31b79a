"""The scan node: a loop over one dimension that holds its body as a graph.

    operands  sequences..., carries..., captured...
    attrs     sequences: int, carries: int   how many of each come first
              axes: tuple[int, ...]          for each sequence, the dimension that is walked
              yield_axes: tuple[int, ...]    for each yield, where the walked dimension is put
              length: Dim                    how many rounds
              reverse: bool                  last element first (yields keep their places)
    body      inputs in operand order (`input` nodes named x0.. c0.. k0..; a sequence's without its
              walked dimension), outputs: the next carries (c0..), then the yields (y0..)
    results   the last carries, then the yields with the walked dimension put in
"""

from __future__ import annotations

from collections.abc import Sequence

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph
from flowc_runtime.dims import Dim
from flowc_runtime.types import TensorType


def without(type: TensorType, axis: int) -> TensorType:
    return TensorType(type.dtype, type.shape[:axis] + type.shape[axis + 1 :])


def with_dim(type: TensorType, axis: int, dim: Dim) -> TensorType:
    return TensorType(type.dtype, type.shape[:axis] + (dim,) + type.shape[axis:])


def numbered(letters: str) -> list[str]:
    """`xxk` becomes x0 x1 k0: the names of a scan body's inputs or outputs."""
    return [f"{letter}{letters[:i].count(letter)}" for i, letter in enumerate(letters)]


def emit_scan(
    builder: Builder,
    sequences: Sequence[Value],
    carries: Sequence[Value],
    captured: Sequence[Value],
    body: Graph,
    *,
    axes: tuple[int, ...],
    yield_axes: tuple[int, ...],
    length: Dim,
    reverse: bool = False,
) -> tuple[Value, ...]:
    """Appends a scan and returns its results: last carries, then yields."""
    yields = [body.type_of(o.value) for o in body.outputs[len(carries) :]]
    types = [c.type for c in carries]
    types += [with_dim(t, a, length) for t, a in zip(yields, yield_axes, strict=True)]
    attrs = {
        "sequences": len(sequences),
        "carries": len(carries),
        "axes": axes,
        "yield_axes": yield_axes,
        "length": length,
        "reverse": reverse,
    }
    operands = tuple(v.ref for v in (*sequences, *carries, *captured))
    return builder.append("scan", operands, attrs, tuple(types), body)
