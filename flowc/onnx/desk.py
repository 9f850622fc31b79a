"""The text under construction: each line is lowered as it is written, so that its type is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from flowc.diagnostic import Limit, Sink, Stop
from flowc.lower.lowerer import Lowerer
from flowc.lower.scope import Binding, Scope
from flowc.lower.values import BlockFunction
from flowc.lower.values import Tensor as Lowered
from flowc.lower.world import open_world
from flowc.onnx.errors import OnnxError, Unsupported
from flowc.onnx.names import Names
from flowc.onnx.text import Expr, Name, call, renamed, write, write_piped
from flowc.onnx.values import Order, Tensor, dtype_of
from flowc.source import Source
from flowc.syntax.parse import parse
from flowc.syntax.tree import Block, Model
from flowc_runtime.dims import symbol
from flowc_runtime.types import FLOATS, TensorType

Weights = Mapping[str, np.ndarray]  # by what their paths have after the name that is bound


@dataclass(frozen=True)
class Input:
    name: str
    type: TensorType

    def text(self) -> str:
        return f"input {self.name}: {type_text(self.type)}"


@dataclass(frozen=True)
class Variable:
    """A `param`, or a `state` for what does not learn."""

    kind: str
    name: str
    type: TensorType
    value: np.ndarray

    def text(self) -> str:
        return f"{self.kind} {self.name}: {type_text(self.type)} = zeros"


@dataclass(frozen=True)
class Bind:
    """`names = value`; `weights` are those of the layer that the value calls."""

    names: tuple[str, ...]
    value: Expr
    weights: Weights = field(default_factory=dict)

    def text(self) -> str:
        return f"{', '.join(self.names)} = {write_piped(self.value)}"


@dataclass(frozen=True)
class Output:
    name: str
    value: Expr

    def text(self) -> str:
        value = write_piped(self.value)
        return f"output {self.name}" if value == self.name else f"output {self.name} = {value}"


Line = Input | Variable | Bind | Output


def renamed_line(line: Line, to: Mapping[str, Name]) -> Line:
    """The line with names replaced, those that it binds and those that it reads."""
    match line:
        case Bind(names=names, value=value):
            return replace(line, names=tuple(to[n].text if n in to else n for n in names),
                           value=renamed(value, to))
        case Output(value=value):
            return replace(line, value=renamed(value, to))
        case Variable(name=old) if old in to:
            return replace(line, name=to[old].text)
    return line


class Desk:
    """Writes lines and knows the types of their names. `blocks` are texts of blocks in use."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.blocks: dict[str, str] = {}
        self.sink = Sink()
        source = Source("import.flow", "")
        world = open_world(parse(source, self.sink), self.sink, parse, _no_import, Path(), {})
        self.world = world
        self.scope = Scope("model", world.scope)
        self.scope.names["batch"] = Binding(symbol("batch"))
        self.lowerer: Lowerer = world.lowerer(False)
        self.names = Names(world.scope.visible())

    def input(self, wish: str, type_: TensorType) -> Tensor:
        name = self.names.new(wish, "input")
        return self._named(Input(name, type_), name, None)

    def variable(self, wish: str, value: np.ndarray, learns: bool = True) -> Tensor:
        """A parameter that starts with the value; a state where it is no float, or never learns."""
        type_ = TensorType(dtype_of(value), tuple(int(d) for d in value.shape))
        kind = "param" if learns and type_.dtype in FLOATS else "state"
        name = self.names.new(wish, "weight" if kind == "param" else "constant")
        return self._named(Variable(kind, name, type_, value), name, None)

    def bind(
        self, wish: str, value: Expr, order: Order | None = None, weights: Weights | None = None
    ) -> Tensor:
        """A line `name = value`. Raises Unsupported where the compiler does not take it."""
        name = self.names.new(wish)
        return self._named(Bind((name,), value, weights or {}), name, order)

    def bind_all(self, wishes: list[str], value: Expr) -> list[Tensor]:
        """A line `a, b = value`."""
        names = tuple(self.names.new(wish) for wish in wishes)
        self._write(Bind(names, value))
        return [Tensor(name, self._type(name)) for name in names]

    def output(self, name: str, value: Expr) -> None:
        self.lines.append(Output(name, value))

    def use_block(self, name: str, text: str) -> None:
        """Makes a block of the importer's own part of the text."""
        if name in self.blocks:
            return
        self.blocks[name] = text
        self.names.taken.add(name)
        for item in parse(Source("blocks.flow", text), self.sink).items:
            if isinstance(item, Block):
                function = BlockFunction(item, self.world.scope)
                self.world.scope.names[item.name.text] = Binding(function, item.name.span, "block")

    def make_way(self, name: str) -> str:
        """Gives what is bound to a name another one, unless paths are made of it; the new name.

        The name itself where it was free, or where it cannot be had.
        """
        holder = next((x for x in self.lines if isinstance(x, Bind) and name in x.names), None)
        if holder is None or holder.weights or len(holder.names) > 1:
            return name
        new = self.names.new(name)
        self.lines = [renamed_line(line, {name: Name(new)}) for line in self.lines]
        return new

    def _named(self, line: Line, name: str, order: Order | None) -> Tensor:
        self._write(line)
        return Tensor(name, self._type(name), order)

    def _type(self, name: str) -> TensorType:
        found = self.scope.find(name)
        if found is None or not isinstance(found.value, Lowered):
            raise Unsupported(f"`{name}` would be no tensor")
        return found.value.type

    def _write(self, line: Line) -> None:
        sink = self.lowerer.sink = Sink()
        self.lowerer.budget.complaints = 0
        self.lowerer.budget.work = 0
        tree = parse(Source("import.flow", f"model m {{\n{line.text()}\n}}\n"), sink)
        model = next((i for i in tree.items if isinstance(i, Model)), None)
        try:
            if model is not None and not sink.errors:
                self.lowerer.execute(model.body, self.scope)
        except Stop:
            pass
        except Limit as limit:
            raise OnnxError("onnx-limit", limit.diagnostic.message) from None
        if sink.errors or model is None:
            reasons = [d.message for d in sink.errors] or ["it cannot be said"]
            raise Unsupported(f"{reasons[0]} in `{line.text()}`")
        self.lines.append(line)


def type_text(type_: TensorType) -> str:
    return f"{type_.dtype}{write(list(type_.shape))}" if type_.shape else f"{type_.dtype}[]"


def permuted(x: Tensor, perm: tuple[int, ...]) -> Expr:
    """x with its axes in another order, in the plainest words for that."""
    moved = [i for i, p in enumerate(perm) if i != p]
    sizes = x.type.shape
    if [p for p in perm if sizes[p] != 1] == [i for i in range(x.rank) if sizes[i] != 1]:
        return call("reshape", x.expr, [sizes[p] for p in perm])
    if moved == [x.rank - 2, x.rank - 1]:
        return call("transpose", x.expr)
    if len(moved) == 2:
        return call("transpose", x.expr, *moved)
    return call("permute", x.expr, list(perm))


def _no_import(path: Path, sink: Sink, item: Any) -> None:
    return None
