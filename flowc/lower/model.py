"""The model: its statements lowered once for training and once for evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowc.diagnostic import MAX_REPORTED
from flowc.graph.graph import Graph, Output, Ref, Update
from flowc.lower import errors
from flowc.lower.limits import fits
from flowc.lower.lowerer import Lowerer, Variable
from flowc.lower.scope import Binding, Scope
from flowc.lower.values import POISON, Tensor
from flowc.lower.world import World
from flowc.source import in_library
from flowc_runtime.dims import symbol
from flowc_runtime.types import TensorType


@dataclass(frozen=True)
class Lowered:
    """One program of a model: its graph, and what it declares.

    The graph's outputs are `loss`, `metric.NAME` and `output.NAME`; its updates are the next
    values of states. `lowerer` keeps the names and first values for the stages that follow.
    """

    graph: Graph
    variables: Mapping[str, Variable]
    inputs: Mapping[str, TensorType]
    lowerer: Lowerer


def lower_model(world: World, training: bool) -> Lowered | None:
    """Lowers the file's model; None where there is none. Mistakes go to the world's sink."""
    if world.model is None:
        if not world.damaged:
            world.sink.report(errors.no_model(world.tree.source_span()))
        return None
    lowerer = world.lowerer(training)
    scope = Scope("model", world.scope)
    scope.names["batch"] = Binding(symbol("batch"))
    lowerer.execute(world.model.body, scope)
    if not lowerer.results and not lowerer.budget.complaints and not world.damaged:
        world.sink.report(errors.no_results(world.model))
    outputs = [
        Output(name, arg.value.value.ref)
        for name, arg in lowerer.results.items()
        if isinstance(arg.value, Tensor)
    ]
    updates = [
        Update(lowerer.variables[path].tensor.value.ref.node, arg.value.value.ref)
        for path, arg in lowerer.nexts.items()
    ]
    inputs = {n: a.value.type for n, a in lowerer.inputs.items() if a.value is not POISON}
    graph = lowerer.builder.finish(outputs, updates)
    return Lowered(graph, lowerer.variables, inputs, lowerer)


def initial_graph(lowerer: Lowerer) -> Graph:
    """The `init` program: one output for each variable, named by its path."""
    outputs = [Output(path, ref) for path, ref in sorted(lowerer.initials.items())]
    return lowerer.initial.builder.finish(outputs)


def select(graph: Graph, prefixes: tuple[str, ...], updates: bool) -> Graph:
    """The graph with only the outputs of some kinds; what they do not need is dead."""
    kept = tuple(o for o in graph.outputs if o.name.partition(".")[0] in prefixes)
    return Graph(graph.nodes, kept, graph.updates if updates else ())


def check_pair(world: World, train: Lowered, evaluate: Lowered) -> None:
    """What only both lowerings together can tell: unused names, parameters that differ."""
    for path, variable in evaluate.variables.items():
        known = train.variables.get(path)
        if known is None or known.tensor.type != variable.tensor.type:
            there = (known.tensor.type, known.span) if known else None
            type_ = variable.tensor.type
            world.sink.report(errors.differs_in_evaluation(path, type_, variable.span, there))
    if world.sink.errors:
        return  # what spoiled a statement is told; what it would have used is not known
    used = train.lowerer.used | evaluate.lowerer.used
    for lowerer in (train.lowerer, evaluate.lowerer):
        for span, name in lowerer.bound.items():
            own = not in_library(span)
            if len(world.sink.diagnostics) >= MAX_REPORTED:
                return
            if own and span not in used and not name.startswith("_"):
                world.sink.report(errors.unused_name(name, span))
    _check_inputs(world, train, evaluate)


def check_sizes(world: World, lowered: Lowered, batch: int) -> None:
    """What is only known with the batch size: each tensor has a size, for single examples too."""
    for node in lowered.graph.nodes:
        for type_ in node.types:
            for size in (batch, 1) if type_.symbols else ():
                bound = type_.bound({"batch": size})
                if min(bound.sizes) < 1 or not fits(bound):
                    world.sink.report(errors.impossible_with_batch(node.origin.span, bound, size))
                    return


def _check_inputs(world: World, train: Lowered, evaluate: Lowered) -> None:
    needed = _needed_inputs(train.graph) | _needed_inputs(evaluate.graph)
    for name, arg in train.lowerer.inputs.items():
        if name not in needed and arg.value is not POISON:
            world.sink.report(errors.unused_input(name, arg.span))


def _needed_inputs(graph: Graph) -> set[str]:
    live: set[int] = {ref.node for ref in graph.roots}
    for node in reversed(graph.nodes):
        if node.id in live:
            live.update(ref.node for ref in node.operands)
    return {graph.nodes[i].attrs["name"] for i in live if graph.nodes[i].op == "input"}


def parameter_refs(lowered: Lowered) -> dict[str, Ref]:
    """The model's parameters by path."""
    return {p: v.tensor.value.ref for p, v in lowered.variables.items() if v.kind == "param"}
