"""What translations work with: the desk, and operands in the form that they ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowc.onnx.desk import Desk, Weights, permuted
from flowc.onnx.errors import NotKnown, Unsupported
from flowc.onnx.model import Graph, Node
from flowc.onnx.text import Expr, Word, call
from flowc.onnx.values import Known, Order, Tensor, Value
from flowc_runtime.dims import Dim, Poly
from flowc_runtime.types import DTYPES

Operand = Any  # a Tensor, a Known, or None where an optional input is left out
Translate = Callable[["Bench", Node, "list[Operand]"], "Value | Sequence[Value]"]
Run = Callable[[Graph, Mapping[str, Value]], "list[Value]"]


@dataclass
class Bench:
    """`run` translates a graph inside of another one; `followers` are nodes by what they read."""

    desk: Desk
    run: Run
    find: Callable[[str], Value | None]  # a value by name, if it is there yet
    followers: dict[str, list[Node]] = field(default_factory=dict)
    outputs: frozenset[str] = frozenset()  # of the graph at hand: values that must not vanish
    absorbed: set[str] = field(default_factory=set)  # results of nodes that another one has done

    # --- making values ------------------------------------------------------------------------

    def bind(
        self, node: Node, value: Expr, result: int = 0, order: Order | None = None,
        weights: Weights | None = None, wish: str = "",
    ) -> Tensor:
        """A line of the text that makes one of the node's results."""
        return self.desk.bind(wish or self.wish(node, result), value, order, weights)

    def wish(self, node: Node, result: int = 0) -> str:
        """What to call a result: as in ONNX, or after the operator if that is but a number."""
        name = node.outputs[result] if result < len(node.outputs) else ""
        bare = name.strip("_:/.")
        return f"{node.op.lower()}_{bare}" if not bare or bare[0].isdigit() else name

    # --- operands -----------------------------------------------------------------------------

    def tensor(self, value: Operand) -> Tensor:
        """The operand as a tensor of the text, its axes as in ONNX."""
        if isinstance(value, Known):
            return self.constant(value, value.array, "as it is")
        if not isinstance(value, Tensor):
            raise Unsupported("an input is missing")
        return self.in_order(value, None)

    def as_it_lies(self, value: Operand) -> Tensor:
        """The operand as a tensor of the text, its axes in whatever order they have."""
        return value if isinstance(value, Tensor) else self.tensor(value)

    def in_order(self, x: Tensor, order: Order | None) -> Tensor:
        """The tensor with its axes in an order; moved at most once for all who ask."""
        if x.order == order:
            return x
        wanted = order or tuple(range(x.rank))
        key = (x.name, wanted)
        if key not in self._moved:
            perm = tuple(x.place(axis) for axis in wanted)
            self._moved[key] = self.desk.bind(x.name, permuted(x, perm), order)
        return self._moved[key]

    _moved: dict[tuple[str, Order], Tensor] = field(default_factory=dict)

    def constant(self, value: Known, array: np.ndarray, form: str) -> Tensor:
        """A known value in another form (transposed, cut) as a tensor of the text."""
        if form not in value.variables:
            value.variables[form] = self._written(value.wish, array)
        return value.variables[form]

    def _written(self, wish: str, array: np.ndarray) -> Tensor:
        if array.size == 0:
            raise Unsupported("a tensor without elements")
        if array.dtype == object:
            return self._open_sizes(wish, array)
        try:
            dtype = Known(array).dtype
        except KeyError:
            raise Unsupported(f"a tensor of {array.dtype}") from None
        first = array.flat[0]
        if DTYPES[dtype].kind != "float" and (array == first).all():
            shape = [int(d) for d in array.shape]
            return self.desk.bind(wish or "constant", call("fill", shape, first, Word(dtype)))
        return self.desk.variable(wish, array)

    def _open_sizes(self, wish: str, array: np.ndarray) -> Tensor:
        parts = [call("fill", [1], size, Word("i64")) for size in array.flat]
        whole = parts[0] if len(parts) == 1 else call("concat", parts)
        if array.ndim != 1:
            whole = call("reshape", whole, list(array.shape))
        return self.desk.bind(wish or "sizes", whole)

    def array(self, value: Operand, what: str) -> np.ndarray:
        """A value that must be known while importing; raises NotKnown."""
        if isinstance(value, Known):
            return value.array
        raise NotKnown(value.name if isinstance(value, Tensor) else "", what)

    def ints(self, value: Operand, what: str) -> list[Dim]:
        """A list of sizes that must be known."""
        array = self.array(value, what)
        return [v if isinstance(v, Poly) else int(v) for v in np.ravel(array)]

    def integers(self, value: Operand, what: str) -> list[int]:
        """The same, where open sizes make no sense."""
        found = [v for v in self.ints(value, what) if not isinstance(v, Poly)]
        if len(found) < value.array.size:
            raise Unsupported(f"{what} depends on the batch")
        return found

    def scalar(self, value: Operand, what: str) -> Any:
        array = self.array(value, what)
        if array.size != 1:
            raise Unsupported(f"{what} is no single number")
        item = array.reshape(-1)[0]
        return item if isinstance(item, Poly) else item.item() if array.dtype == object else item

    # --- looking ahead ------------------------------------------------------------------------

    def only_follower(self, name: str, op: str) -> Node | None:
        """The one node that reads a value, if it is of that operator and nobody else looks."""
        users = self.followers.get(name, [])
        if name in self.outputs or len(users) != 1 or users[0].op != op:
            return None
        return users[0] if users[0].inputs.count(name) == 1 else None

    def constant_named(self, name: str) -> Known | None:
        """A constant of floats that is there already, by its name in the model."""
        value = self.find(name)
        if isinstance(value, Known) and value.array.dtype.kind == "f":
            return value
        return None

    def absorb(self, node: Node) -> None:
        """The node is done by the one at hand, whose value takes the place of its result."""
        self.absorbed.add(node.outputs[0])
