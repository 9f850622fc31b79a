"""A Model to lines of the language: node by node, in the order of the file."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowc.onnx import expand, ops
from flowc.onnx.bench import Bench
from flowc.onnx.desk import Desk
from flowc.onnx.errors import NotKnown, OnnxError, Unsupported
from flowc.onnx.fold import fold, is_foldable
from flowc.onnx.model import Declared, Function, Graph, Model, Node
from flowc.onnx.names import RESERVED, legal
from flowc.onnx.read import bound
from flowc.onnx.text import Name
from flowc.onnx.values import LOST, Known, Lost, Tensor, Value, settled
from flowc_runtime.dims import Dim, symbol
from flowc_runtime.types import DTYPES, TensorType

MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError,
             ZeroDivisionError)  # fmt: skip
MAX_GIVEN = 64  # elements of an input that can be fixed
MAX_TRANSLATED = 100_000  # nodes, each as often as calls and loops come to it
MAX_DEPTH = 24  # functions in functions, graphs in graphs
Size = int | str  # a number, or the word `batch`


@dataclass(frozen=True)
class Wishes:
    """What is said about a model from outside: sizes of inputs, and inputs that are fixed."""

    shapes: Mapping[str, tuple[Size, ...]] = field(default_factory=dict)
    values: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass
class Imported:
    """The lines of a model, and the inputs and outputs of ONNX by what they are called here."""

    desk: Desk
    inputs: dict[str, Tensor]
    outputs: dict[str, str]


def translate(model: Model, wishes: Wishes) -> Imported:
    """The whole model. Raises OnnxError: with all that has no translation, or all open sizes."""
    importer = Importer(model)
    return importer.whole(wishes)


@dataclass
class Problems:
    """What has no translation, and what would have to be known; told all at once."""

    unsupported: list[str] = field(default_factory=list)
    wanted: dict[str, str] = field(default_factory=dict)  # inputs to be fixed, and for what

    def raise_any(self) -> None:
        if self.unsupported:
            count = len(self.unsupported)
            nodes = "1 node has" if count == 1 else f"{count} nodes have"
            raise OnnxError(
                "onnx-unsupported", f"{nodes} no translation", notes=tuple(self.unsupported))
        if self.wanted:
            notes = tuple(f"`{name}`: {what}" for name, what in self.wanted.items())
            flags = " ".join(f"--value {name}=..." for name in self.wanted)
            raise OnnxError("onnx-value", "inputs must be known while importing",
                            help=flags, notes=notes, wanted=tuple(self.wanted))


class Importer:
    """The state of one import."""

    def __init__(self, model: Model):
        self.model = model
        self.desk = Desk()
        self.problems = Problems()
        self.bench = Bench(self.desk, self.subgraph, self._find)
        self.scopes: list[dict[str, Value]] = []
        self.depth = 0
        self.translated = 0
        self.outputs: set[str] = set()
        self.moved: dict[str, str] = {}  # names of values that gave way to an output
        self.given: dict[str, Tensor] = {}
        self.sources: dict[str, frozenset[str]] = {}  # the inputs that a tensor depends on

    def whole(self, wishes: Wishes) -> Imported:
        graph = self.model.graph
        values = self._inputs(graph.inputs, wishes)
        inputs = {n: v for n, v in values.items() if isinstance(v, Tensor)}
        self.given = inputs
        results = self.subgraph(graph, values)
        self.problems.raise_any()
        outputs: dict[str, str] = {}
        for declared, value in zip(graph.outputs, results, strict=True):
            outputs[declared.name] = self._output(declared, value)
        return Imported(self.desk, inputs, outputs)

    # --- inputs and outputs -------------------------------------------------------------------

    def _inputs(self, declared: Sequence[Declared], wishes: Wishes) -> dict[str, Value]:
        _check_names(declared, wishes)
        values: dict[str, Value] = {}
        open_sizes: list[str] = []
        batch = _batch_names(declared, wishes)
        used = set(_live_inputs(self.model.graph))
        for item in declared:
            if item.name in wishes.values:
                values[item.name] = _fixed(item, wishes.values[item.name])
                continue
            if item.name not in used:
                continue
            if item.dtype is None:
                raise OnnxError("onnx-unsupported",
                                f"the input `{item.name}` is no tensor of a dtype that flowc has")
            shape = _shape(item, wishes.shapes.get(item.name), batch)
            if shape is None:
                open_sizes.append(_said(item))
                continue
            if 0 in shape:
                raise OnnxError("onnx-value", f"the input `{item.name}` has no elements",
                                help=f"--value {item.name}=", wanted=(item.name,))
            tensor = self.desk.input(item.name, TensorType(item.dtype, shape))
            self.sources[tensor.name] = frozenset([item.name])
            values[item.name] = tensor
        if open_sizes:
            raise OnnxError(
                "onnx-shape", f"sizes of inputs are not known: {'; '.join(open_sizes)}",
                help="give all of them: --shape input=batch,3,224,224",
            )
        return values

    def _output(self, declared: Declared, value: Value) -> str:
        """A result under its own name, which a value on the way may have to give up."""
        try:
            tensor = self.bench.tensor(value)
        except (Unsupported, NotKnown) as error:
            raise OnnxError("onnx-unsupported", f"the output `{declared.name}`: {error}") from None
        wish = legal(declared.name) or "result"
        wish = f"{wish}_" if wish in RESERVED or wish == "loss" else wish
        own = self.moved.get(tensor.name, tensor.name)
        if own != wish and wish in self.desk.names.taken:
            self.moved[wish] = self.desk.make_way(wish)
            if wish in self.moved.values() or wish in self.outputs:
                wish = self.desk.names.new(wish)
        self.desk.names.taken.add(wish)
        self.outputs.add(wish)
        self.desk.output(wish, Name(own))
        return wish

    # --- graphs -------------------------------------------------------------------------------

    def subgraph(self, graph: Graph, given: Mapping[str, Value]) -> list[Value]:
        """The results of a graph; it sees the values of the graphs around it."""
        constants = {n: Known(a, n) for n, a in graph.constants.items()}
        return self._scope(graph.nodes, {**constants, **given}, [o.name for o in graph.outputs])

    def _scope(
        self, nodes: Sequence[Node], given: Mapping[str, Value], outputs: Sequence[str],
        closed: bool = False,
    ) -> list[Value]:
        """Translates nodes with names of their own; `closed`: without those around."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise OnnxError("onnx-limit", f"functions and graphs lie more than {MAX_DEPTH} deep")
        outer = self.scopes, self.bench.followers, self.bench.outputs
        self.scopes = [dict(given)] if closed else [*self.scopes, dict(given)]
        self.bench.followers = _followers(nodes)
        self.bench.outputs = frozenset(outputs)
        try:
            for node in _live(nodes, outputs):
                self._node(node)
            return [self._value(name) for name in outputs]
        finally:
            self.scopes, self.bench.followers, self.bench.outputs = outer
            self.depth -= 1

    def _find(self, name: str) -> Value | None:
        return next((s[name] for s in reversed(self.scopes) if name in s), None)

    def _value(self, name: str) -> Value:
        found = self._find(name)
        if found is not None:
            return found
        raise OnnxError("onnx-damaged", f"the value `{name}` is used, but nothing makes it")

    def _node(self, node: Node) -> None:
        if node.outputs and node.outputs[0] in self.scopes[-1]:
            return  # a node before has done its work
        self.translated += 1
        if self.translated > MAX_TRANSLATED:
            raise OnnxError("onnx-limit", "with its calls and loops written out the model has "
                            f"more than {MAX_TRANSLATED} nodes")
        inputs = [self._value(name) if name else None for name in node.inputs]
        told = len(self.problems.unsupported)
        try:
            results = self._results(node, inputs)
        except Unsupported as error:
            self.problems.unsupported.append(f"{node.operator} at {node.place}: {error}")
            results = [LOST] * len(node.outputs)
        except NotKnown as error:
            self._not_known(node, error)
            results = [LOST] * len(node.outputs)
        except MALFORMED as error:
            # translations take nodes to be as ONNX describes them; files of strangers may not be
            self.problems.unsupported.append(
                f"{node.operator} at {node.place}: it is not formed as ONNX says ({error!r})")
            results = [LOST] * len(node.outputs)
        if node.op == "If" and len(self.problems.unsupported) > told:
            self._decide(node, inputs[0], told)
        scope = self.scopes[-1]
        for name, value in zip(node.outputs, results, strict=False):
            if name:
                scope[name] = value
        self._trace(node, results)
        for name in node.outputs[len(results):]:
            scope[name] = LOST
        for name in self.bench.absorbed:
            scope[name] = results[0]
        self.bench.absorbed.clear()

    def _trace(self, node: Node, results: Sequence[Value]) -> None:
        """Notes which inputs the results depend on."""
        values = [self._find(name) for name in mentioned(node)]
        found = [self.sources.get(v.name, frozenset()) for v in values if isinstance(v, Tensor)]
        whole = frozenset().union(*found)
        for value in results:
            if isinstance(value, Tensor):
                self.sources.setdefault(value.name, whole)

    def _decide(self, node: Node, condition: Value | None, told: int) -> None:
        """A branch has no translation: if an input decides which one is taken, ask for that."""
        if isinstance(condition, Tensor) and self._can_be_given(condition.name):
            del self.problems.unsupported[told:]
            self._not_known(node, NotKnown(condition.name, "the condition"))

    def _can_be_given(self, name: str) -> bool:
        sources = self.sources.get(name, frozenset())
        return bool(sources) and all(_is_small(self.given.get(n)) for n in sources)

    def _not_known(self, node: Node, error: NotKnown) -> None:
        """Small inputs that the value depends on can be fixed; anything else is in the way."""
        if self._can_be_given(error.name):
            for name in sorted(self.sources[error.name]):
                self.problems.wanted.setdefault(
                    name, f"{error.what} of {node.operator} at {node.place}")
            return
        self.problems.unsupported.append(
            f"{node.operator} at {node.place}: {error.what} is only known in a step")

    def _results(self, node: Node, inputs: list[Value | None]) -> list[Value]:
        if any(isinstance(v, Lost) for v in inputs):
            return [LOST] * len(node.outputs)
        function = self.model.functions.get((node.domain, node.op))
        if function is not None:
            return self._call(function, node, inputs)
        if node.domain:
            raise Unsupported("no operator of ONNX's own")
        found = ops.IN_ANY_FORM.get(node.op)
        if found is not None:
            return _listed(found(self.bench, node, list(inputs)))
        if inputs and all(v is None or isinstance(v, Known) for v in inputs) and is_foldable(node):
            return self._folded(node, inputs)
        return self._translated(node, inputs)

    def _folded(self, node: Node, inputs: Sequence[Value | None]) -> list[Value]:
        arrays = [v.array if isinstance(v, Known) else None for v in inputs]
        try:
            made = fold(node, arrays)
        except Unsupported:
            if not any(isinstance(v, Known) and v.is_open for v in inputs):
                raise
            return self._translated(node, inputs)
        wish = node.outputs[0]
        if node.op in ("Identity", "Cast", "Transpose", "Unsqueeze", "Reshape"):
            first = inputs[0]
            wish = first.wish if isinstance(first, Known) and first.wish else wish
        return [Known(settled(a), wish if i == 0 else node.outputs[i]) for i, a in enumerate(made)]

    def _translated(self, node: Node, inputs: Sequence[Value | None]) -> list[Value]:
        """By the table, or by what ONNX itself says that the operator is made of."""
        rule = ops.IN_ANY_ORDER.get(node.op)
        if rule is not None:
            return _listed(rule(self.bench, node, list(inputs)))
        rule = ops.TRANSLATIONS.get(node.op)
        if rule is not None:
            plain = [self.bench.in_order(v, None) if isinstance(v, Tensor) else v for v in inputs]
            return _listed(rule(self.bench, node, list(plain)))
        function = expand.definition(node, inputs)
        if function is None:
            raise Unsupported("there is no translation")
        return self._call(function, node, inputs)

    def _call(self, function: Function, node: Node, inputs: Sequence[Value | None]) -> list[Value]:
        """A function's body in place of its call."""
        given = {n: v for n, v in zip(function.inputs, inputs, strict=False) if v is not None}
        absent = {n: None for n in function.inputs[len(inputs):]}
        absent |= {n: None for n, v in zip(function.inputs, inputs, strict=False) if v is None}
        attrs = {**function.defaults, **node.attrs}
        nodes = [_in_call(n, node, attrs, absent) for n in function.nodes]
        asked = [n for n, o in zip(function.outputs, node.outputs, strict=False) if o]
        made = iter(self._scope(nodes, given, asked, closed=True))
        return [next(made) if name else LOST for name in node.outputs]


def _in_call(inner: Node, outer: Node, attrs: Mapping[str, object],
             absent: Mapping[str, None]) -> Node:
    inputs = tuple("" if name in absent else name for name in inner.inputs)
    name = f"{outer.name or outer.op}.{inner.op}"
    return Node(inner.op, inner.domain, name, outer.index, inputs, inner.outputs,
                bound(inner.attrs, attrs), inner.version)


def _is_small(value: Value | None) -> bool:
    """Whether an input is of a kind that a flag of the command line could give."""
    size = value.type.size if isinstance(value, Tensor) and value.rank <= 1 else None
    return isinstance(size, int) and size <= MAX_GIVEN


def _listed(results: Value | Sequence[Value]) -> list[Value]:
    return [results] if isinstance(results, (Tensor, Known, Lost)) else list(results)


# --- which nodes count --------------------------------------------------------------------------


def mentioned(node: Node) -> Iterator[str]:
    """The values that a node reads, in the graphs inside of it too."""
    yield from (name for name in node.inputs if name)
    for value in node.attrs.values():
        if isinstance(value, Graph):
            yield from (name for inner in value.nodes for name in mentioned(inner))
            yield from (o.name for o in value.outputs)


def _live(nodes: Sequence[Node], outputs: Sequence[str]) -> list[Node]:
    needed = set(outputs)
    kept: list[Node] = []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(mentioned(node))
            kept.append(node)
    return kept[::-1]


def _live_inputs(graph: Graph) -> Iterator[str]:
    outputs = [o.name for o in graph.outputs]
    yield from outputs
    for node in _live(graph.nodes, outputs):
        yield from mentioned(node)


def _followers(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = {}
    for node in nodes:
        for name in set(mentioned(node)):
            found.setdefault(name, []).append(node)
    return found


# --- sizes of inputs ----------------------------------------------------------------------------


def _check_names(declared: Sequence[Declared], wishes: Wishes) -> None:
    known = [item.name for item in declared]
    for name in (*wishes.shapes, *wishes.values):
        if name not in known:
            has = ", ".join(f"`{n}`" for n in known) or "none"
            raise OnnxError("onnx-shape", f"the model has no input `{name}`; it has {has}")


def _batch_names(declared: Sequence[Declared], wishes: Wishes) -> set[str]:
    """The names of open first sizes: all of them are the batch."""
    names = {item.shape[0] for item in declared
             if item.shape and isinstance(item.shape[0], str) and item.name not in wishes.shapes}
    for item in declared:  # what a wish calls the batch is the batch everywhere
        wish = wishes.shapes.get(item.name, ())
        names |= {said for said, given in zip(item.shape or (), wish, strict=False)
                  if given == "batch" and isinstance(said, str)}
    return {name for name in names if isinstance(name, str)}


def _shape(
    item: Declared, wish: tuple[Size, ...] | None, batch: set[str]
) -> tuple[Dim, ...] | None:
    """The sizes of an input; None where some are open that are not the batch."""
    if wish is not None:
        if item.shape is not None and len(wish) != len(item.shape):
            raise OnnxError("onnx-shape", f"the input `{item.name}` has {len(item.shape)} sizes, "
                            f"but --shape gives {len(wish)}")
        for said, given in zip(item.shape or (), wish, strict=False):
            if isinstance(said, int) and given != said:
                raise OnnxError("onnx-shape", f"the input `{item.name}` has the size {said} where "
                                f"--shape gives {given}")
        return tuple(symbol("batch") if s == "batch" else int(s) for s in wish)
    if item.shape is None:
        return None
    dims: list[Dim] = []
    for i, size in enumerate(item.shape):
        if isinstance(size, int):
            dims.append(size)
        elif size in batch or i == 0:
            dims.append(symbol("batch"))
        else:
            return None
    return tuple(dims)


def _said(item: Declared) -> str:
    if item.shape is None:
        return f"`{item.name}` of no declared shape"
    return f"`{item.name}` [{', '.join('?' if s is None else str(s) for s in item.shape)}]"


def _fixed(item: Declared, value: np.ndarray) -> Known:
    if item.dtype is not None:
        value = value.astype(DTYPES[item.dtype].storage)
    shape = item.shape
    if shape is not None and len(shape) != value.ndim:
        sizes = [s for s in shape if isinstance(s, int)]
        if len(sizes) == len(shape) and math.prod(sizes) == value.size:
            value = value.reshape(sizes)
        else:
            raise OnnxError("onnx-value", f"the input `{item.name}` has {len(shape)} axes, but "
                            f"--value gives {value.ndim}")
    return Known(value, item.name)
