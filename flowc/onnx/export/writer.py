"""The ONNX graph under construction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowc.graph.graph import Graph, Node, Ref
from flowc.onnx.model import ONNX_OF
from flowc_runtime.dims import Dim, Poly
from flowc_runtime.types import DTYPES, TensorType

OPSET = 18
IR_VERSION = 9  # what runtimes of that opset read


class NoTranslation(Exception):
    """A node that ONNX has no words for; the message says why."""


@dataclass
class Shared:
    """What the graph and the bodies of its loops have together."""

    constants: dict[tuple[Any, ...], str] = field(default_factory=dict)
    tensors: list[Any] = field(default_factory=list)  # initializers
    names: set[str] = field(default_factory=set)
    count: int = 0
    batch: str = ""  # an i64[1] that holds the batch's size

    def new(self, wish: str = "") -> str:
        """A name that nothing has yet."""
        name = wish
        while not name or name in self.names:
            self.count += 1
            name = f"{wish}_{self.count}" if wish else f"t{self.count}"
        self.names.add(name)
        return name

    def constant(self, array: np.ndarray, wish: str = "") -> str:
        """The name of a tensor that holds the array, one for all that are equal."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(array)
        key = (str(array.dtype), array.shape, array.tobytes()) if not wish else (wish,)
        if key not in self.constants:
            name = self.new(wish or f"c{len(self.constants)}")
            self.constants[key] = name
            self.tensors.append(numpy_helper.from_array(array, name))
        return self.constants[key]


class Writer:
    """Writes the nodes of one graph. `values` are the names of results so far."""

    def __init__(self, graph: Graph, shared: Shared):
        self.graph = graph
        self.shared = shared
        self.nodes: list[Any] = []
        self.values: dict[Ref, str] = {}

    def emit(self, op: str, *inputs: str, wish: str = "", **attrs: Any) -> str:
        """Appends a node with one result, and gives its name."""
        return self.emit_many(op, list(inputs), 1, wish, **attrs)[0]

    def emit_many(
        self, op: str, inputs: Sequence[str], results: int, wish: str = "", **attrs: Any
    ) -> list[str]:
        from onnx import helper

        names = [self.shared.new(wish) for _ in range(results)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attrs))
        return names

    # --- operands -----------------------------------------------------------------------------

    def operands(self, node: Node) -> list[str]:
        return [self.values[ref] for ref in node.operands]

    def types(self, node: Node) -> list[TensorType]:
        return [self.graph.type_of(ref) for ref in node.operands]

    def number(self, value: Any, dtype: str) -> str:
        """A scalar."""
        return self.shared.constant(np.array(value, DTYPES[dtype].storage))

    def ints(self, values: Sequence[int]) -> str:
        return self.shared.constant(np.array(values, np.int64))

    def shape(self, dims: Sequence[Dim]) -> str:
        """A shape as a tensor; what depends on the batch is computed."""
        if not any(isinstance(d, Poly) for d in dims):
            return self.ints([int(d) for d in dims if isinstance(d, int)])
        return self.emit("Concat", *(self.size(d) for d in dims), axis=0)

    def size(self, dim: Dim) -> str:
        """One size as an i64[1]."""
        if isinstance(dim, int):
            return self.ints([int(dim)])
        total = ""
        for monomial, factor in dim.terms:
            if any(name != "batch" for name in monomial) or not self.shared.batch and monomial:
                raise NoTranslation(f"the size {dim}, which no input has")
            term = self.ints([factor])
            for _ in monomial:
                term = self.shared.batch if term == self.ints([1]) else self.emit(
                    "Mul", term, self.shared.batch)
            total = self.emit("Add", total, term) if total else term
        return total

    def cast(self, value: str, dtype: str) -> str:
        return self.emit("Cast", value, to=ONNX_OF[dtype])

    def zeros(self, dims: Sequence[Dim], dtype: str) -> str:
        from onnx import numpy_helper

        zero = numpy_helper.from_array(np.zeros(1, DTYPES[dtype].storage))
        return self.emit("ConstantOfShape", self.shape(dims), value=zero)


def tensor_type(type_: TensorType) -> Any:
    """flowc's type as ONNX's, open sizes under their names."""
    from onnx import helper

    dims = [int(d) if isinstance(d, int) else str(d) for d in type_.shape]
    return helper.make_tensor_type_proto(ONNX_OF[type_.dtype], dims)
