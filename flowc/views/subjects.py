"""Subjects: what a name that somebody asks about stands for in a model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from flowc.driver import Checked
from flowc.graph.graph import Graph, Node, Ref
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
    """All that a name stands for: a tensor of the model, else a bound name, a path, a size."""
    found = [*_tensors(checked, name)] or [*_bindings(checked, declarations, name)]
    yield from found or [*_paths(checked, name), *_sizes(checked, name)]


def _tensors(checked: Checked, name: str) -> Iterator[Subject]:
    """A variable, an input or an output; outputs also without `metric.` and `output.`."""
    train = checked.train
    if name in train.variables:
        v = train.variables[name]
        type_ = str(v.tensor.type)
        yield Subject(name, "variable", KIND_WORDS[v.kind], type_, v.span, v.tensor.value.ref)
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


def _bindings(checked: Checked, declarations: Declarations, name: str) -> Iterator[Subject]:
    """Each `name = ...` of the text; one inside a `repeat` or block for each time it was made."""
    source = checked.world.tree.source
    for bind in declarations.bindings(source, name):
        graph = checked.train.graph
        made = [node for node in graph.nodes if _is_within(node.origin.span, bind.value.span)]
        if not made:  # a function of the text: its nodes are where it is written
            made = [node for node in graph.nodes if is_below(node.origin.path, name)]
        yield from _made(graph, name, bind, made)


def _is_within(span: Span | None, outer: Span) -> bool:
    if span is None or span.source != outer.source:
        return False
    return outer.start <= span.start and span.end <= outer.end


def _made(graph: Graph, name: str, bind: t.Bind, nodes: list[Node]) -> Iterator[Subject]:
    """A subject for each copy of a statement; the value is that of the copy's last node."""
    copies: dict[str, list[Node]] = {}
    for node in nodes:
        copies.setdefault(_copy_of(node.origin.path), []).append(node)
    if not copies:
        yield Subject(name, "binding", "a name for a value made elsewhere", span=bind.span)
    for prefix, made in copies.items():
        places = frozenset(str(node.origin.span) for node in made)
        value = Ref(made[-1].id)
        what = f"a value in {prefix}" if prefix else "a value"
        type_ = str(graph.type_of(value)) if len(bind.targets) == 1 else ""
        shown = value if type_ else None
        yield Subject(name, "binding", what, type_, bind.span, shown, places, prefix)


def _copy_of(path: str) -> str:
    """The part of a path that tells the rounds of `repeat`s apart: up to the last number."""
    names = path.split(".")
    numbers = [at for at, part in enumerate(names) if part.isdigit()]
    return ".".join(names[: numbers[-1] + 1]) if numbers else ""


def _paths(checked: Checked, name: str) -> Iterator[Subject]:
    """A layer or block by its path: what was lowered under it."""
    nodes = [n for n in checked.train.graph.nodes if is_below(n.origin.path, name)]
    if name and nodes:
        places = frozenset(str(n.origin.span) for n in nodes if n.origin.span)
        what, last = f"a block of {len(nodes)} nodes", nodes[-1]
        span = last.origin.span
        yield Subject(name, "path", what, str(last.type), span, Ref(last.id), places, name)


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
