"""A scan taken apart, for passes that move work out of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Graph, Node, Output, Ref
from flowc.graph.scan import numbered
from flowc_runtime.types import TensorType


@dataclass(frozen=True)
class Loop:
    """A scan node, its body, and its operands as values of the graph outside."""

    node: Node
    body: Graph
    operands: tuple[Value, ...]

    @property
    def first_carry(self) -> int:
        """The position of the first carry among the operands."""
        return int(self.node.attrs["sequences"])

    @property
    def first_captured(self) -> int:
        return self.first_carry + self.carries

    @property
    def carries(self) -> int:
        return int(self.node.attrs["carries"])

    @cached_property
    def position(self) -> Mapping[int, int]:
        """For each input of the body, by node id, the position of its operand."""
        return {id: i for i, id in enumerate(n.id for n in self.body.nodes if n.op == "input")}

    @cached_property
    def uses(self) -> Mapping[Ref, int]:
        """How often the body takes each of its values, outputs included."""
        taken = [ref for node in self.body.nodes for ref in node.operands]
        return Counter([*taken, *self.body.roots])

    def sequence(self, ref: Ref) -> int | None:
        """Which sequence a value of the body is an element of, if it is just that."""
        position = self.position.get(ref.node)
        return None if position is None or position >= self.first_carry else position

    def captured(self, ref: Ref) -> Value | None:
        """The value outside that a value of the body is, if it is just that."""
        position = self.position.get(ref.node)
        if position is None or position < self.first_captured:
            return None
        return self.operands[position]


def body_inputs(
    builder: Builder,
    rows: Sequence[TensorType],
    carries: Sequence[TensorType],
    captured: Sequence[TensorType],
) -> list[Value]:
    """Appends the inputs of a scan's body, by the names that `scan.py` prescribes."""
    names = numbered("x" * len(rows) + "c" * len(carries) + "k" * len(captured))
    types = (*rows, *carries, *captured)
    return [builder.input(name, type) for name, type in zip(names, types, strict=True)]


def body_outputs(carries: Sequence[Ref], yields: Sequence[Ref]) -> list[Output]:
    """The outputs of a scan's body, by the names that `scan.py` prescribes."""
    names = numbered("c" * len(carries) + "y" * len(yields))
    return [Output(name, ref) for name, ref in zip(names, (*carries, *yields), strict=True)]
