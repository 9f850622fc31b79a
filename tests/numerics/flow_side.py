"""A case as flowc computes it: lowered, differentiated, optimised, planned and executed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from programs import execute
from texts import check_text

from flowc.autodiff import differentiate
from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Output
from flowc.lower.model import Lowered, parameter_refs
from flowc.passes import optimise
from flowc_runtime.types import TensorType
from numerics.case import Case, Operand

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Compiled:
    """A case's graph with gradients, and everything that it reads."""

    case: Case
    graph: Graph
    operands: dict[str, Operand]  # inputs and variables, by name or path

    def values(self, seed: int) -> Arrays:
        return {n: self.case.draw(n, o, seed) for n, o in self.operands.items()}

    def run(self, values: Arrays) -> Arrays:
        """`y` and, where it is of floats, `gradient.NAME` of each float operand."""
        found = execute(optimise(self.graph), values, values)
        return {name.removeprefix("output."): value.copy() for name, value in found.items()
                if name.startswith(("output.", "gradient."))}

    @property
    def read(self) -> set[str]:
        """What the author or the library has named: all but the system's own inputs."""
        return self.operands.keys() - {"seed", "step"}

    @property
    def ops(self) -> set[str]:
        return {node.op for node in nodes_of(self.graph.nodes)}


def nodes_of(nodes: Iterable[Node]) -> Iterator[Node]:
    for node in nodes:
        yield node
        if node.body is not None:
            yield from nodes_of(node.body.nodes)


def compile_case(case: Case) -> Compiled:
    checked = check_text(case.text)
    lowered = checked.train if case.training else checked.evaluate
    graph = _with_gradients(lowered)
    named = {**case.operands}
    for path, variable in lowered.variables.items():
        named.setdefault(path, Operand(variable.tensor.type, 0.1, 1.0))
    for name in ("seed", "step"):
        named[name] = Operand(TensorType("i64"), 1, 1)
    return Compiled(case, graph, named)


def _with_gradients(lowered: Lowered) -> Graph:
    """The graph with the gradients of the weighted result as further outputs."""
    graph = lowered.graph
    build = Builder(list(graph.nodes))
    (y,) = (build.value(o.value) for o in graph.outputs if o.name == "output.y")
    if y.type.kind != "float":
        return graph
    loss = _weighted(build, y)
    graph = build.finish([Output("loss", loss.ref), *graph.outputs], graph.updates)
    return differentiate(graph, loss.ref, parameter_refs(lowered), _blame)


def _weighted(build: Builder, y: Value) -> Value:
    shape, axes = y.type.shape, tuple(range(y.type.rank))
    counted = build("iota", shape=(int(np.prod(y.type.sizes)),), axis=0, dtype="f32")
    cosines = build("cos", build("reshape", counted, shape=shape))
    product = build("mul", y, build("cast", cosines, dtype=y.type.dtype))
    return build("reduce_sum", product, axes=axes, keep=False) if axes else product


def _blame(node: Node) -> None:
    raise AssertionError(f"{node.op} has no derivative")
