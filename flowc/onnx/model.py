"""The nouns of an ONNX model as the importer sees it: plain values, protobuf left behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

CORE = ("", "ai.onnx")  # the domains of ONNX's own operators

# ONNX's numbers of element types that flowc has, and their names here.
DTYPE_OF = {
    1: "f32", 2: "u8", 3: "i8", 6: "i32", 7: "i64", 9: "bool", 10: "f16", 11: "f64", 16: "bf16",
}  # fmt: skip
ONNX_OF = {name: number for number, name in DTYPE_OF.items()}


@dataclass(frozen=True)
class Declared:
    """An input or output: its dtype (None: not one of flowc's), and its shape where it is said.

    A size is a number, a name, or None where nothing is said.
    """

    name: str
    dtype: str | None
    shape: tuple[int | str | None, ...] | None


@dataclass(frozen=True)
class Node:
    """One application of an operator. `attrs` hold numbers, texts, lists, arrays and Graphs.

    An input that is left out is the empty text. `index` is its position in its graph.
    """

    op: str
    domain: str
    name: str
    index: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]
    version: int = 0  # of the operator set that it belongs to

    @property
    def place(self) -> str:
        """Where it is, in the words of a message."""
        called = f" `{self.name}`" if self.name else ""
        makes = next((name for name in self.outputs if name), "nothing")
        return f"node {self.index}{called} (makes `{makes}`)"

    @property
    def operator(self) -> str:
        return self.op if self.domain in CORE else f"{self.domain}.{self.op}"


@dataclass(frozen=True)
class Graph:
    """Nodes in the order of the file, and what they start from."""

    name: str
    nodes: tuple[Node, ...]
    inputs: tuple[Declared, ...]
    outputs: tuple[Declared, ...]
    constants: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Function:
    """A function of the model's own: a body, and the names of what it is given."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: tuple[str, ...]
    defaults: Mapping[str, Any]
    nodes: tuple[Node, ...]


@dataclass(frozen=True)
class AttributeRef:
    """An attribute of a function's node that is an attribute of the function's call."""

    name: str


@dataclass(frozen=True)
class Model:
    """A whole file. `functions` are found by domain and name."""

    graph: Graph
    opsets: Mapping[str, int]
    functions: Mapping[tuple[str, str], Function] = field(default_factory=dict)
    producer: str = ""

    @property
    def opset(self) -> int:
        return self.opsets.get("", 1)
