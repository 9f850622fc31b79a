"""Subjects: what a name that somebody asks about stands for in a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowc.driver import Checked
from flowc.graph.graph import Graph, Node, Ref
from flowc.lower.lowerer import Variable
from flowc.source import Span
from flowc.syntax import tree as t
from flowc.views.declarations import Declarations, walk
from flowc.views.items import GRADIENT_MARK
from flowc_runtime.plan import Instruction

KIND_WORDS = {"param": "a parameter", "state": "a state"}


@dataclass(frozen=True)
class Subject:
    """Something with a name. `value` is its value in the training graph, where it is one there.

    `places` are the author's places (`file:line:column`) whose instructions compute it, `prefix`
    the path that they lie under.
    """

    name: str
    kind: str  # "variable", "input", "output", "binding", "path" or "size"
    what: str
    type: str = ""
    span: Span | None = None
    value: Ref | None = None
    places: frozenset[str] = frozenset()
    prefix: str = ""

    @property
    def variable(self) -> bool:
        return self.kind == "variable"

    def owns(self, instruction: Instruction) -> bool:
        """Whether an instruction computes a part of it."""
        path = instruction.path.removesuffix(GRADIENT_MARK)
        return instruction.at in self.places and is_below(path, self.prefix)


def is_below(path: str, prefix: str) -> bool:
    """Whether a path is `prefix` or lies under it; everything lies under the empty one."""
    return not prefix or path == prefix or path.startswith(f"{prefix}.")


def subjects(checked: Checked, declarations: Declarations, name: str) -> Iterator[Subject]:
    """All that a name stands for: a tensor of the model, else a bound name, else all others."""
    found = [*_tensors(checked, name)] or [*_bindings(checked, declarations, name)]
    yield from found or [
        *_variables_called(checked, name), *_paths(checked, name), *_sizes(checked, name)
    ]  # fmt: skip


def _tensors(checked: Checked, name: str) -> Iterator[Subject]:
    """A variable, an input or an output; outputs also without `metric.` and `output.`."""
    train = checked.train
    if name in train.variables:
        yield _variable(train.variables[name])
    elif ":" in name and name.partition(":")[0] in train.variables:
        owner = train.variables[name.partition(":")[0]]
        yield Subject(name, "variable", "a slot of the optimizer", str(owner.tensor.type))
    if name in checked.inputs:
        arg = train.lowerer.inputs[name]
        ref = arg.value.value.ref
        yield Subject(name, "input", "an input", str(checked.inputs[name]), arg.span, ref)
    for output in train.graph.outputs:
        if name in (output.name, output.name.partition(".")[2]):
            arg = train.lowerer.results[output.name]
            type_ = str(train.graph.type_of(output.value))
            yield Subject(output.name, "output", "an output", type_, arg.span, output.value)


def _variable(v: Variable) -> Subject:
    type_, ref = str(v.tensor.type), v.tensor.value.ref
    return Subject(v.path, "variable", KIND_WORDS[v.kind], type_, v.span, ref)


def _variables_called(checked: Checked, name: str) -> Iterator[Subject]:
    """The variables whose paths end in the name."""
    for path, variable in checked.train.variables.items():
        if path.endswith(f".{name}"):
            yield _variable(variable)


def _bindings(checked: Checked, declarations: Declarations, name: str) -> Iterator[Subject]:
    """Each `name = ...` of the text; one inside a `repeat` or block for each time it was made."""
    graph = checked.train.graph
    for bind in declarations.bindings(checked.world.tree.source, name):
        inside = [
            (body, node)
            for body in _bodies(graph)
            for node in body.nodes
            if _is_within(node.origin.span, bind.value.span)
        ]
        made = [node for node in graph.nodes if _is_within(node.origin.span, bind.value.span)]
        if inside and not any(node.op == "scan" for node in made):
            yield _in_rounds(name, bind, *inside[-1])
            continue
        if not made:  # a function of the text: its nodes are where it is written
            made = [node for node in graph.nodes if is_below(node.origin.path, name)]
        yield from _made(graph, name, bind, made)


def _bodies(graph: Graph) -> Iterator[Graph]:
    for node in graph.nodes:
        if node.body is not None:
            yield node.body
            yield from _bodies(node.body)


def _is_within(span: Span | None, outer: Span) -> bool:
    if span is None or span.source != outer.source:
        return False
    return outer.start <= span.start and span.end <= outer.end


def _in_rounds(name: str, bind: t.Bind, body: Graph, last: Node) -> Subject:
    """A value of a scan's body: each round has its own."""
    type_ = str(last.type) if len(bind.targets) == 1 else ""
    places = frozenset(str(n.origin.span) for n in body.nodes
                       if _is_within(n.origin.span, bind.value.span))  # fmt: skip
    what = "a value in each round of a scan"
    return Subject(name, "binding", what, type_, bind.span, places=places)


def _made(graph: Graph, name: str, bind: t.Bind, nodes: list[Node]) -> Iterator[Subject]:
    """A subject for each copy of a statement; the value is that of the copy's last node."""
    copies: dict[str, list[Node]] = {}
    for node in nodes:
        copies.setdefault(_copy_of(node.origin.path), []).append(node)
    if not copies:
        yield Subject(name, "binding", "a name for a value made elsewhere", span=bind.span)
    for prefix, made in copies.items():
        places = frozenset(str(node.origin.span) for node in made)
        value = _value_of(made[-1]) if len(bind.targets) == 1 else None
        type_ = "" if value is None else str(graph.type_of(value))
        what = f"a value in {prefix}" if prefix else "a value"
        yield Subject(name, "binding", what, type_, bind.span, value, places, prefix)


def _value_of(node: Node) -> Ref:
    """A node's value in the text: of a scan the first yield, of others the first result."""
    carries = node.attrs["carries"] if node.op == "scan" else 0
    return Ref(node.id, carries if carries < len(node.types) else 0)


def _copy_of(path: str) -> str:
    """The part of a path that tells the rounds of `repeat`s apart: up to the last number."""
    names = path.split(".")
    numbers = [at for at, part in enumerate(names) if part.isdigit()]
    return ".".join(names[: numbers[-1] + 1]) if numbers else ""


def _paths(checked: Checked, name: str) -> Iterator[Subject]:
    """A layer or block by its path, or by the end of it: what was lowered under it."""
    graph = checked.train.graph
    whole = any(is_below(node.origin.path, name) for node in graph.nodes)
    for path in [name] if whole else _paths_ending_in(graph, name):
        nodes = [node for node in graph.nodes if is_below(node.origin.path, path)]
        places = frozenset(str(n.origin.span) for n in nodes if n.origin.span)
        what, last = f"a block of {len(nodes)} nodes", nodes[-1]
        value = _value_of(last)
        type_ = str(graph.type_of(value))
        yield Subject(path, "path", what, type_, last.origin.span, value, places, path)


def _paths_ending_in(graph: Graph, name: str) -> list[str]:
    """The paths of the graph that end in `.name`."""
    found: dict[str, None] = {}
    for node in graph.nodes:
        head, mark, _ = f"{node.origin.path}.".partition(f".{name}.")
        if mark:
            found[f"{head}.{name}"] = None
    return list(found)


def _sizes(checked: Checked, name: str) -> Iterator[Subject]:
    """A hyperparameter, a named dimension (`time = 64`), or one that stays open (`batch`)."""
    tree, scope = checked.world.tree, checked.world.scope
    for node in walk(tree):
        if isinstance(node, t.Hyper) and node.name.text == name and name in scope.names:
            value = scope.names[name].value
            yield Subject(name, "size", f"a hyperparameter, {value} here", span=node.span)
        elif isinstance(node, t.NamedDim) and node.name.text == name:
            yield Subject(name, "size", "a dimension", span=node.span)
    open_in = [n for n, type_ in checked.inputs.items() if name in type_.symbols]
    if open_in:
        span = checked.train.lowerer.inputs[open_in[0]].span
        yield Subject(name, "size", f"an open dimension of {', '.join(open_in)}", span=span)
