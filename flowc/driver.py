"""The whole compiler on one page; the only file that knows the order of the stages."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flowc.collector import uncollected
from flowc.diagnostic import Limit, Sink, Stop
from flowc.graph.graph import Graph, Node
from flowc.lower import errors
from flowc.lower.data import DataDecl, lower_data
from flowc.lower.model import (
    Lowered,
    check_pair,
    check_sizes,
    initial_graph,
    lower_model,
    parameter_refs,
    select,
)
from flowc.lower.place import Placing, lower_place, place_section
from flowc.lower.settings import TrainSettings, check_freeze, lower_settings
from flowc.lower.world import World, open_world
from flowc.source import Source, Span
from flowc.syntax.parse import parse
from flowc.syntax.read import read_source
from flowc.syntax.tree import Import
from flowc_runtime.types import TensorType

if TYPE_CHECKING:
    from flowc.place.strategy import Strategy
    from flowc_runtime.cluster.plan import ClusterPlan
    from flowc_runtime.plan import Plan

Watch = Callable[[str, Any], None]  # told of every stage's result: "tree", "train.graph", ...
DEFAULT_BATCH = 32


@dataclass(frozen=True)
class Options:
    """What a compilation may be told from outside the text.

    `defines` are `-D name=value`; `evaluate` and `predict` are further batch sizes that those
    programs are made for (`evaluate@80`).
    """

    defines: Mapping[str, str] = field(default_factory=dict)
    place: Source | None = None  # whose place section stands for that of the model's text
    evaluate: tuple[int, ...] = ()
    predict: tuple[int, ...] = ()


@dataclass(frozen=True)
class Checked:
    """A model without mistakes: both lowerings, its data, and how it is trained."""

    world: World
    train: Lowered
    evaluate: Lowered
    data: Mapping[str, DataDecl]
    settings: TrainSettings | None
    placing: Placing

    @property
    def name(self) -> str:
        assert self.world.model is not None
        return self.world.model.name.text

    @property
    def inputs(self) -> Mapping[str, TensorType]:
        return self.train.inputs

    @property
    def batch(self) -> int:
        return self.settings.batch if self.settings else DEFAULT_BATCH


def check(
    source: Source, sink: Sink, options: Options | None = None, watch: Watch | None = None
) -> Checked:
    """Text to checked graphs; raises Stop when the sink holds errors. Runs and reads no data."""
    watch = watch or _nobody
    try:
        return _check(source, sink, options or Options(), watch)
    except Limit as limit:
        sink.report(limit.diagnostic)
        raise Stop from None


def _check(source: Source, sink: Sink, options: Options, watch: Watch) -> Checked:
    tree = parse(source, sink)
    watch("tree", tree)
    world = open_world(tree, sink, parse, _read_import, source.folder, options.defines)
    if options.place is not None:
        world.place = place_section(parse(options.place, sink), sink)
    train, evaluate = lower_model(world, training=True), lower_model(world, training=False)
    if train is None or evaluate is None:
        raise Stop
    spans = {name: arg.span for name, arg in train.lowerer.inputs.items()}
    data = lower_data(world, spans)
    settings = lower_settings(world, data)
    check_pair(world, train, evaluate)
    placing = lower_place(world, train.variables)
    _check_training(world, train, settings)
    sink.stop_on_errors()
    for lowered in (train, evaluate):
        check_sizes(world, lowered, settings.batch if settings else DEFAULT_BATCH)
    sink.stop_on_errors()
    watch("train.graph", train.graph)
    watch("evaluate.graph", evaluate.graph)
    return Checked(world, train, evaluate, data, settings, placing)


def _check_training(world: World, train: Lowered, settings: TrainSettings | None) -> None:
    """What the train section asks of the model: a loss, and parameters that may learn."""
    if settings is None or world.model is None or world.train is None:
        return
    if "loss" not in train.lowerer.results:
        world.sink.report(errors.no_loss(world.model, world.train.span))
    params = sorted(parameter_refs(train))
    if not params:
        world.sink.report(errors.no_params(world.model, world.train.span))
    if settings.freeze is not None:
        check_freeze(world, settings.freeze, params)


def check_learning(checked: Checked, sink: Sink) -> None:
    """What only gradients and updates show; raises Stop when the sink holds errors."""
    try:
        _programs(checked, sink, _nobody)
    except Limit as limit:
        sink.report(limit.diagnostic)
    sink.stop_on_errors()


def compile(
    source: Source, sink: Sink, options: Options | None = None, watch: Watch | None = None
) -> tuple[Checked, Plan]:
    """Text to plan; raises Stop when the sink holds errors."""
    options, watch = options or Options(), watch or _nobody
    checked = check(source, sink, options, watch)
    try:
        return checked, plan_of(checked, sink, options, watch)
    except Limit as limit:
        sink.report(limit.diagnostic)
        raise Stop from None


@uncollected()  # it would take a quarter of the time that a deep network takes
def plan_of(checked: Checked, sink: Sink, options: Options, watch: Watch) -> Plan:
    """Checked graphs to the plan of one process: gradients, updates, sizes, passes, memory.

    Where the batch is cut into shards, the programs `gradient` and `update` stand for `train`.
    """
    shards = checked.settings.shards if checked.settings else None
    counted = None if shards in (None, 1) else shards
    bound, sizes = _bound(checked, sink, options, watch, counted, shards or 1)
    optimised = _optimised(bound, watch)
    return _planned(checked, optimised, sizes, watch)


def cluster_plan_of(
    checked: Checked, sink: Sink, options: Options, watch: Watch, strategy: Strategy
) -> tuple[Plan, ClusterPlan]:
    """Checked graphs to the coordinator's plan and that of the tasks; raises Stop."""
    from flowc.passes import optimise
    from flowc.passes.split_reductions import split_reductions
    from flowc.place.emit import make_cluster_plan
    from flowc.place.rows import split_rows
    from flowc.place.stages import halves_of

    if checked.settings is None:
        assert checked.world.model is not None
        sink.report(errors.no_train(checked.world.model))
        raise Stop
    bound, sizes = _bound(checked, sink, options, watch, strategy.counted, strategy.shards)
    optimised = _optimised(bound, watch)
    patterns = checked.placing.split if strategy.ps else ()
    split = split_rows(split_reductions(bound["update"]), patterns, strategy.owners, sink)
    update = optimise(split.update) if split.homes else optimised["update"]
    halves = halves_of(optimised["gradient"], update, split.homes, checked.placing, sink)
    sink.stop_on_errors()
    cluster_plan = make_cluster_plan(
        checked.name, source_hash(checked.world.tree.source), halves, checked.batch, strategy,
        _plan_settings(checked))
    watch("cluster_plan", cluster_plan)
    return _planned(checked, optimised, sizes, watch), cluster_plan


Sizes = dict[str, dict[str, int]]


def _bound(
    checked: Checked, sink: Sink, options: Options, watch: Watch, counted: int | None, shards: int
) -> tuple[dict[str, Graph], Sizes]:
    """The programs' graphs, their sizes bound; the training step in halves if `counted`."""
    # Imported here, because `flowc check` goes no further than `check` and should be quick.
    from flowc.graph.bind import bind_sizes

    graphs = dict(_programs(checked, sink, watch, counted))
    sink.stop_on_errors()
    sizes = _sizes(checked.batch, graphs, options)
    if "gradient" in sizes:
        sizes["gradient"] = {"batch": checked.batch // shards}
    bound = {n: bind_sizes(graphs[n.partition("@")[0]], size) for n, size in sizes.items()}
    return bound, sizes


def _optimised(bound: Mapping[str, Graph], watch: Watch) -> dict[str, Graph]:
    from flowc.passes import optimise

    optimised: dict[str, Graph] = {}
    for name, graph in bound.items():
        optimised[name] = optimise(graph)
        watch(f"{name}.optimised", optimised[name])
    return optimised


def _planned(
    checked: Checked, optimised: dict[str, Graph], sizes: Sizes, watch: Watch
) -> Plan:
    from flowc.plan.emit import make_plan

    source = checked.world.tree.source
    plan = make_plan(
        checked.name, source_hash(source), optimised, sizes, _plan_settings(checked)
    )
    watch("plan", plan)
    return plan


def _programs(
    checked: Checked, sink: Sink, watch: Watch, counted: int | None = None
) -> list[tuple[str, Graph]]:
    """The graphs of all programs that the model has, with `batch` still a name.

    The training step comes in halves where gradients of `counted` shards are summed.
    """
    if checked.settings is not None:
        differentiated, updated, initial = _train_graphs(checked, checked.settings, sink, watch)
        if counted is None:
            programs = [("train", updated), ("init", initial)]
        else:
            programs = _halves(differentiated, updated, counted, watch)
            programs.append(("init", initial))
    else:
        programs = [("init", initial_graph(checked.train.lowerer))]
    names = [o.name for o in checked.evaluate.graph.outputs]
    if "loss" in names:
        programs.append(("evaluate", select(checked.evaluate.graph, ("loss", "metric"), False)))
    if any(name.startswith("output.") for name in names):
        programs.append(("predict", select(checked.evaluate.graph, ("output",), False)))
    return programs


def _halves(
    differentiated: Graph, updated: Graph, counted: int, watch: Watch
) -> list[tuple[str, Graph]]:
    from flowc.place.halves import gradient_half, update_half

    halves = [
        ("gradient", gradient_half(differentiated)),
        ("update", update_half(differentiated, updated, counted)),
    ]
    for name, graph in halves:
        watch(f"{name}.graph", graph)
    return halves


def _train_graphs(
    checked: Checked, settings: TrainSettings, sink: Sink, watch: Watch
) -> tuple[Graph, Graph, Graph]:
    """The step with gradients, that with updates too, and the first values for all of it."""
    from flowc.autodiff import differentiate
    from flowc.lower.update import lower_update

    lowered, freeze = checked.train, settings.freeze
    graph = select(lowered.graph, ("loss", "metric"), True)
    wrt = {p: ref for p, ref in parameter_refs(lowered).items()
           if freeze is None or not freeze.covers(p)}
    loss = next(o.value for o in graph.outputs if o.name == "loss")

    def blame(node: Node) -> None:
        if node.origin.span is not None:
            sink.report(errors.no_derivative(node.op, node.origin.span))

    differentiated = differentiate(graph, loss, wrt, blame)
    watch("train.gradients", differentiated)
    learning = {o.name.removeprefix("gradient.") for o in differentiated.outputs}
    idle: dict[Span, list[str]] = {}
    for path in wrt:
        if path not in learning and not sink.errors:
            idle.setdefault(lowered.variables[path].span, []).append(path)
    for span, paths in idle.items():
        sink.report(errors.no_gradient(paths, span))
    updated, initial = lower_update(lowered, differentiated, settings)
    watch("train.update", updated)
    return differentiated, updated, initial


def _sizes(
    batch: int, graphs: Mapping[str, Graph], options: Options
) -> Sizes:
    sizes: Sizes = {name: {"batch": batch} for name in graphs}
    for program, batches in (("evaluate", options.evaluate), ("predict", options.predict)):
        for other in batches:
            if program in graphs and other != batch:
                sizes[f"{program}@{other}"] = {"batch": other}
    return sizes


def _plan_settings(checked: Checked) -> dict[str, Any]:
    """What of the train section a reader of the plan wants to see."""
    settings = checked.settings
    if settings is None:
        return {"batch": checked.batch}
    optimizer = settings.optimizer.function.definition.name.text
    return {"batch": settings.batch, "optimizer": optimizer}


def source_hash(source: Source) -> str:
    return hashlib.sha256(source.text.encode()).hexdigest()


def _read_import(path: Path, sink: Sink, item: Import) -> Source | None:
    if not path.is_file():
        sink.report(errors.import_missing(item, path))
        return None
    return read_source(path, sink)


def _nobody(stage: str, value: Any) -> None:
    return None
