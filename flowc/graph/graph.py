"""Node and Graph: a flat list of typed single-assignment nodes, in topological order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from flowc.source import Span
from flowc_runtime.types import TensorType


class Ref(NamedTuple):
    """Result number `result` of node number `node`."""

    node: int
    result: int = 0

    def __str__(self) -> str:
        return f"%{self.node}" if self.result == 0 else f"%{self.node}.{self.result}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a node comes from: the author's span, and the path of names that it lies under."""

    span: Span | None = None
    path: str = ""


NOWHERE = Origin()


@dataclass(frozen=True)
class Node:
    """One operation. `id` is its position in the graph; `types` has one type per result.

    Leaves: `input` {name}, `variable` {path, kind}, `const` {value}, `dim` {value} (the size of
    a dimension as a scalar). The system inputs are called `seed` and `step` (both `i64[]`).
    `scan` has a `body`; see `scan.py`. `attrs` is never changed after construction.
    """

    id: int
    op: str
    operands: tuple[Ref, ...]
    attrs: Mapping[str, Any]
    types: tuple[TensorType, ...]
    origin: Origin = field(default=NOWHERE, compare=False)
    body: Graph | None = None

    @property
    def type(self) -> TensorType:
        return self.types[0]


class Output(NamedTuple):
    """A named result of a graph: `loss`, `metric.accuracy`, `output.probabilities`."""

    name: str
    value: Ref


class Update(NamedTuple):
    """At the end of the step the variable (a node id) takes the value."""

    variable: int
    value: Ref


@dataclass(frozen=True)
class Graph:
    """Nodes with `nodes[i].id == i`, operands before users; what is wanted of them; updates."""

    nodes: tuple[Node, ...]
    outputs: tuple[Output, ...]
    updates: tuple[Update, ...] = ()

    def type_of(self, ref: Ref) -> TensorType:
        return self.nodes[ref.node].types[ref.result]

    @property
    def roots(self) -> tuple[Ref, ...]:
        """What must be computed: outputs and the new values of updated variables."""
        return (*(o.value for o in self.outputs), *(u.value for u in self.updates))
