"""The graph as text, which `read.py` reads back.

    %0: f32[batch, 784] = input {name="image"}
    %1: f32[784, 10] = variable {path="dense.weight", kind="param"}
    %2: f32[batch, 10] = matmul(%0, %1) {transpose_a=false, transpose_b=false}  # y at m.flow:4:3
    outputs:
      loss = %2
    updates:
      %1 <- %2

A scan's body and the lines of a fused kernel stand in braces below their node. What follows `#`
is the node's origin; of it only the path is read back, because a span needs its source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from flowc.graph.graph import Graph, Node, Origin
from flowc_runtime.dims import Poly
from flowc_runtime.types import TensorType

COMMENT_COLUMN = 72
_INDENT = "  "
RESERVED = {"true": True, "false": False, "none": None, "inf": float("inf"), "nan": float("nan")}
RESERVED["-inf"] = float("-inf")
_PLAIN_NAME = re.compile(r"[A-Za-z_][\w.\-]*")


def print_graph(graph: Graph) -> str:
    """The text of a graph, one node a line; ends with a newline."""
    return "".join(line + "\n" for line in _graph_lines(graph))


def value_text(value: Any) -> str:
    """An attribute as text: `true`, `none`, `3`, `0.5`, `"relu"`, `2*batch + 1`, `(1, 2)`."""
    if isinstance(value, tuple):
        inner = ", ".join(map(value_text, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, Poly):
        text = str(value)
        if text not in RESERVED:
            return text
        return f"0 - {text[1:]}" if text[0] == "-" else f"0 + {text}"  # a dimension called `inf`
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return repr(value)


def attrs_text(attrs: Mapping[str, Any]) -> str:
    """`{axes=(0,), keep=true}`; empty where there are none."""
    inner = ", ".join(f"{name}={value_text(value)}" for name, value in attrs.items())
    return f"{{{inner}}}" if inner else ""


def _graph_lines(graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        yield from _node_lines(node)
    if graph.outputs:
        yield "outputs:"
    for output in graph.outputs:
        yield f"{_INDENT}{_name_text(output.name)} = {output.value}"
    if graph.updates:
        yield "updates:"
    for update in graph.updates:
        yield f"{_INDENT}%{update.variable} <- {update.value}"


def _node_lines(node: Node) -> Iterator[str]:
    block = _block(node)
    attrs = attrs_text({k: v for k, v in node.attrs.items() if not _in_block(node, k)})
    operands = f"({', '.join(map(str, node.operands))})" if node.operands else ""
    parts = [f"%{node.id}: {_types_text(node.types)} = {node.op}{operands}", attrs]
    line = " ".join(part for part in parts if part) + (" {" if block is not None else "")
    yield _with_origin(line, node.origin)
    if block is not None:
        yield from (_INDENT + inner for inner in block)
        yield "}"


def _block(node: Node) -> list[str] | None:
    """What stands in braces below the node, if anything."""
    if node.body is not None:
        return list(_graph_lines(node.body))
    return list(node.attrs["lines"]) if node.op == "fused" else None


def _in_block(node: Node, attr: str) -> bool:
    return node.op == "fused" and attr == "lines"


def _types_text(types: tuple[TensorType, ...]) -> str:
    return str(types[0]) if len(types) == 1 else f"({', '.join(map(str, types))})"


def _name_text(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else json.dumps(name)


def _with_origin(line: str, origin: Origin) -> str:
    at = f"at {origin.span}" if origin.span else ""
    comment = " ".join(part for part in (origin.path, at) if part)
    return f"{line:<{COMMENT_COLUMN}}  # {comment}" if comment else line
