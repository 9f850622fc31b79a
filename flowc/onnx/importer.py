"""A Model to lines of the language: node by node, in the order of the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from flowc.onnx import expand, ops
from flowc.onnx.bench import Bench
from flowc.onnx.desk import Desk
from flowc.onnx.errors import NotKnown, OnnxError, Unsupported
from flowc.onnx.fold import fold, is_foldable
from flowc.onnx.inputs import Wishes, can_be_given, inputs_of
from flowc.onnx.liveness import followers, live, mentioned, used
from flowc.onnx.model import Declared, Function, Graph, Model, Node
from flowc.onnx.names import RESERVED, legal
from flowc.onnx.read import bound
from flowc.onnx.text import Name
from flowc.onnx.values import LOST, Known, Lost, Tensor, Value, settled

MALFORMED = (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError,
             ZeroDivisionError)  # fmt: skip
MAX_TRANSLATED = 100_000  # nodes, each as often as calls and loops come to it
MAX_DEPTH = 24  # functions in functions, graphs in graphs


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
        values = self._inputs(wishes)
        inputs = {n: v for n, v in values.items() if isinstance(v, Tensor)}
        self.given = inputs
        results = self.subgraph(graph, values)
        self.problems.raise_any()
        outputs: dict[str, str] = {}
        for declared, value in zip(graph.outputs, results, strict=True):
            outputs[declared.name] = self._output(declared, value)
        return Imported(self.desk, inputs, outputs)

    # --- inputs and outputs -------------------------------------------------------------------

    def _inputs(self, wishes: Wishes) -> dict[str, Value]:
        graph = self.model.graph
        values: dict[str, Value] = {}
        for name, found in inputs_of(graph.inputs, used(graph), wishes).items():
            if isinstance(found, Known):
                values[name] = found
                continue
            tensor = self.desk.input(name, found)
            self.sources[tensor.name] = frozenset([name])
            values[name] = tensor
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
        self.bench.followers = followers(nodes)
        self.bench.outputs = frozenset(outputs)
        try:
            for node in live(nodes, outputs):
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
        return bool(sources) and all(can_be_given(self.given.get(n)) for n in sources)

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


def _listed(results: Value | Sequence[Value]) -> list[Value]:
    return [results] if isinstance(results, (Tensor, Known, Lost)) else list(results)
