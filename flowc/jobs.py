"""Jobs: a model compiled for the data at hand and loaded, ready to train, evaluate or predict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flowc.diagnostic import Diagnostic, Sink, Stop
from flowc.driver import Checked, Options, check, plan_of
from flowc.lower import errors
from flowc.lower.data import DataDecl
from flowc.lower.settings import TrainSettings
from flowc.source import Source
from flowc_runtime.backend import device_of, require_on_host
from flowc_runtime.checkpoint import Differences, load_weights, put_weights
from flowc_runtime.checkpoint.errors import CheckpointError
from flowc_runtime.cluster.plan import ClusterPlan
from flowc_runtime.data.conversion import unfit
from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.names import Known, Names, names_of, parse_names, plain_names
from flowc_runtime.data.spec import DataSpec
from flowc_runtime.data.stream import Stream
from flowc_runtime.dims import symbol
from flowc_runtime.events import End, Event, Warning
from flowc_runtime.executor import Session
from flowc_runtime.plan import Plan
from flowc_runtime.planfile import plan_hash, write_plan
from flowc_runtime.runfolder.errors import RunError
from flowc_runtime.runfolder.folder import (
    RunFacts,
    RunFolder,
    create_run,
    latest_run,
    read_run_facts,
    reopen_run,
    run_of,
)
from flowc_runtime.training import (
    Engine,
    Evaluation,
    Signals,
    StopSignal,
    TrainOptions,
    WholeBatch,
    resume,
    train,
)
from flowc_runtime.training import evaluate as evaluate_stream
from flowc_runtime.types import DTYPES, TensorType

if TYPE_CHECKING:
    from flowc.cluster import Cluster

Array = np.ndarray
Emit = Callable[[Event], None]


@dataclass(frozen=True)
class Setup:
    """What a job is told from outside the text; `runs` says where its steps are done."""

    defines: Mapping[str, str]
    threads: int | None = 1
    allow: tuple[Path, ...] = ()
    place: Source | None = None  # instead of the text's own place section
    runs: Runs | None = None  # None: in this process
    known: Known = field(default_factory=dict)  # names of numbers in the data, from training
    backend: str = "numpy"  # of this process, and of all tasks


@dataclass(frozen=True)
class Planned:
    """The plan of this process, how to open what does the steps, and the plan of its tasks, with
    where they are. `foretold` gives the seconds that a step of theirs should take."""

    plan: Plan
    open_engine: OpenEngine
    cluster_plan: ClusterPlan | None = None
    cluster: Cluster | None = None
    foretold: Callable[[], float] | None = None


Runs = Callable[[Checked, TrainSettings, Sink, Options], Planned]


@dataclass(frozen=True)
class TrainingJob:
    """A loaded model with its streams. The session's variables have their first values."""

    checked: Checked
    settings: TrainSettings
    planned: Planned
    session: Session
    setup: Setup
    data: Stream
    validation: Stream | None
    options: TrainOptions
    notes: tuple[Warning, ...] = ()

    @property
    def plan(self) -> Plan:
        return self.planned.plan

    @property
    def names(self) -> Known:
        """What the numbers in the training data stand for."""
        return names_of(self.data.dataset)


OpenEngine = Callable[[TrainingJob, RunFolder | None, Emit], AbstractContextManager[Engine]]


# --- data -------------------------------------------------------------------------------------


def open_data(
    declaration: DataDecl, inputs: Mapping[str, TensorType], folder: Path,
    allow: tuple[Path, ...], known: Known,
) -> Dataset:
    """The examples that a `data` item names, checked against the model's inputs; DataError.

    Words and classes get the numbers that they are `known` by from training.
    """
    dataset = data_spec(declaration, inputs, known).open(folder, allow)
    for part in dataset.fields:
        if part.name in inputs:
            _check_field(part.name, part.shape, inputs[part.name], declaration, dataset.origin)
    return dataset


def data_spec(
    declaration: DataDecl, inputs: Mapping[str, TensorType], known: Known | None = None
) -> DataSpec:
    """What any process needs to open the data that an item names."""
    source = declaration.source
    wanted = {name: inputs[name].dtype for name in declaration.fields if name in inputs}
    return DataSpec(
        source.source, source.arguments, tuple(source.transforms), declaration.fields, wanted,
        known or {})


def _check_field(
    name: str, shape: tuple[int, ...], type_: TensorType, declaration: DataDecl, origin: str
) -> None:
    if not type_.shape or type_.shape[0] != symbol("batch"):
        raise DataError(
            "data-shape",
            f"{declaration.span}: the input `{name}` is {type_}, but data come in batches",
            origin, help=f"declare it as {name}: {type_.dtype}[batch, ...]",
        )  # fmt: skip
    if shape == type_.shape[1:]:
        return
    raise DataError(
        "data-shape",
        f"{declaration.span}: the field `{name}` has examples of shape {list(shape)}, "
        f"but the input is {type_}",
        origin,
        help=f"declare it as {name}: {TensorType(type_.dtype, (*type_.shape[:1], *shape))}",
    )


def folder_of(source: Source) -> Path:
    return source.folder or Path.cwd()


# --- training ---------------------------------------------------------------------------------


def prepare_training(source: Source, sink: Sink, setup: Setup) -> TrainingJob:
    """Checks the text, opens its data, compiles for both, and loads the first values.

    Raises Stop when the sink holds errors, DataError, and CheckpointError for `init`.
    """
    options = Options(defines=setup.defines, place=setup.place)
    checked = check(source, sink, options)
    settings = _settings(checked, sink)
    folder = folder_of(source)
    dataset = open_data(settings.data, checked.inputs, folder, setup.allow, setup.known)
    data = Stream(dataset, settings.batch, settings.seed, dataset.shuffled, "drop")
    validation = None
    if settings.validate is not None:
        known = names_of(dataset)
        examples = open_data(settings.validate, checked.inputs, folder, setup.allow, known)
        validation = Stream(examples, settings.batch, settings.seed, False, "keep")
    options = replace(options, evaluate=_rest(validation))
    planned = (setup.runs or in_this_process)(checked, settings, sink, options)
    session = Session(planned.plan, setup.threads, device_of(setup.backend))
    initialise(session, settings.seed)
    notes = _warm_start(session, settings, folder)
    total = settings.steps or (settings.epochs or 1) * data.batches_per_epoch
    return TrainingJob(
        checked, settings, planned, session, setup, data, validation,
        TrainOptions(total, settings.seed, settings.log_every, settings.validate_every,
                     settings.checkpoint_every),
        notes,
    )  # fmt: skip


def in_this_process(
    checked: Checked, settings: TrainSettings, sink: Sink, options: Options
) -> Planned:
    """The steps are done here, with the whole batch at once or shard by shard."""
    plan = plan_of(checked, sink, options, _nobody)
    if "train" in plan.programs:
        return Planned(plan, _open_whole)
    return Planned(plan, _open_sharded)


def _open_whole(
    job: TrainingJob, run: RunFolder | None, emit: Emit
) -> AbstractContextManager[Engine]:
    return nullcontext(WholeBatch(job.session, job.data, job.settings.seed))


def _open_sharded(
    job: TrainingJob, run: RunFolder | None, emit: Emit
) -> AbstractContextManager[Engine]:
    from flowc.place.emit import make_alone_plan
    from flowc_runtime.cluster.work.alone import ShardByShard

    require_on_host(job.setup.backend, "shards are computed")
    alone = make_alone_plan(job.plan, job.settings.batch, job.settings.shards or 1)
    return nullcontext(ShardByShard(job.session, alone, job.data, job.settings.seed))


def _settings(checked: Checked, sink: Sink) -> TrainSettings:
    if checked.settings is None:
        assert checked.world.model is not None
        sink.report(errors.no_train(checked.world.model))
        raise Stop
    return checked.settings


def _rest(stream: Stream | None) -> tuple[int, ...]:
    """The size of the smaller batch at the end of an epoch, if there is one."""
    rest = len(stream.dataset) % stream.batch if stream else 0
    return (rest,) if rest else ()


def initialise(session: Session, seed: int) -> None:
    """Gives every variable its first value, which depends on the seed and its path alone."""
    session.load(session.run("init", seed=seed, step=0))


def _warm_start(session: Session, settings: TrainSettings, folder: Path) -> tuple[Warning, ...]:
    if settings.init is None:
        return ()
    weights = load_weights(_inside(folder, settings.init))
    unlike = put_weights(weights, session.plan.variables, session.variables)
    wanted = len(_weights_of(session.plan))
    taken = wanted - len(unlike.missing) - len(unlike.unlike)
    if not taken:
        raise CheckpointError(
            "checkpoint-other-model", f"nothing in {settings.init} fits the model: {unlike}"
        )
    if not unlike:
        return ()
    told = f"{settings.init} gives {taken} of {wanted} parameters and states: {unlike}"
    return (Warning("init-partial", told),)


def _inside(folder: Path, path: str) -> Path:
    """A path of the text; like those of data, it cannot leave the project's folder."""
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise DataError(
            "data-outside", f"`init` leaves the project: {path}",
            help="copy the weights into the project",
        )
    return found


def _weights_of(plan: Plan) -> list[str]:
    return [v.path for v in plan.variables if v.kind != "slot"]


def new_run(job: TrainingJob, command: tuple[str, ...], out: Path | None) -> RunFolder:
    """A run folder for the job, with its plan and its text inside; RunError."""
    source = job.checked.world.tree.source
    facts = RunFacts(
        job.plan.model, command, plan_hash(job.plan), job.settings.seed,
        datetime.now().astimezone(), plain_names(job.names),
    )  # fmt: skip
    sources = {Path(source.name).name: source.text}
    return create_run(facts, write_plan(job.plan), sources, out)


def reopen(
    source: Source, sink: Sink, setup: Setup, out: Path | None
) -> tuple[TrainingJob, RunFolder]:
    """The run to be resumed and its job, with the seed that the run began with; RunError."""
    name = model_name(source, sink, setup.defines)
    path = out or latest_run(name)
    if path is None:
        raise RunError(
            "run-none", f"there is no run of `{name}` in runs/ here",
            help="name a run folder with --out, or start without --resume",
        )
    facts = read_run_facts(path)
    seed = str(facts["seed"])
    given = setup.defines.get("train.seed", seed)
    if given != seed:
        raise RunError(
            "run-other-seed", f"the run began with the seed {seed}, not {given}",
            help="resume without --seed",
        )
    defines = {**setup.defines, "train.seed": seed}
    known = _names_in(path, facts)
    job = prepare_training(source, sink, replace(setup, defines=defines, known=known))
    return job, reopen_run(path)


def known_from(weights: Path) -> dict[str, Names]:
    """The names that the run behind these weights has kept; none where there is no run."""
    run = run_of(weights)
    return {} if run is None else _names_in(run, read_run_facts(run))


def _names_in(run: Path, facts: Mapping[str, Any]) -> dict[str, Names]:
    try:
        return parse_names(facts.get("names", {}))
    except (ValueError, KeyError, TypeError) as error:
        raise RunError("run-damaged", f"{run}: its names of classes: {error!r}") from None


def model_name(source: Source, sink: Sink, defines: Mapping[str, str]) -> str:
    """What the text calls its model; raises Stop where the text has mistakes."""
    return check(source, sink, Options(defines=defines)).name


def run_training(
    job: TrainingJob, run: RunFolder | None, emit: Emit, resuming: bool, stop: StopSignal
) -> End:
    """Trains to the end, or on from the run's newest sound checkpoint."""
    for note in job.notes:
        emit(note)
    progress = resume(run, job.plan, job.session, emit) if resuming and run else None
    with job.planned.open_engine(job, run, emit) as engine:
        return train(
            job.plan, job.session, engine, job.data, job.validation, job.options, run, emit, stop,
            progress,
        )


def run_with_signals(job: TrainingJob, run: RunFolder | None, emit: Emit, resuming: bool) -> End:
    """`run_training`, where Ctrl-C and SIGTERM end the run in order."""
    with Signals() as stop:
        return run_training(job, run, emit, resuming, stop)


# --- evaluation and prediction ----------------------------------------------------------------


def evaluate_model(
    source: Source, sink: Sink, setup: Setup, weights: Path, data: str | None = None
) -> Evaluation:
    """Loss and metrics of trained weights over one data item: the validation data by default."""
    options = Options(defines=setup.defines)
    checked = check(source, sink, options)
    declaration = _declaration(checked, data, sink)
    known: Known = known_from(weights)
    if not known and data_spec(declaration, checked.inputs).learns:
        known = _names_of_training(checked, setup)
    dataset = open_data(declaration, checked.inputs, folder_of(source), setup.allow, known)
    stream = Stream(dataset, min(checked.batch, len(dataset)), 0, False, "keep")
    batches = (*_rest(stream), stream.batch)
    plan = plan_of(checked, sink, replace(options, evaluate=batches), _nobody)
    session = Session(plan, setup.threads, device_of(setup.backend))
    load_trained(session, weights)
    seed = checked.settings.seed if checked.settings else 0
    return evaluate_stream(plan, session, stream, seed, 0)


def _declaration(checked: Checked, name: str | None, sink: Sink) -> DataDecl:
    settings = checked.settings
    if name is None and settings is not None and settings.validate is not None:
        return settings.validate
    chosen = name or "test"
    if chosen not in checked.data:
        known = ", ".join(f"`{n}`" for n in checked.data) or "none"
        sink.report(Diagnostic(
            "unknown-data", f"the model declares no data `{chosen}`; it has {known}",
            help="name one of them with --data"))
        raise Stop
    return checked.data[chosen]


def load_trained(session: Session, weights: Path) -> None:
    """Puts trained weights in; every parameter and state must be there and fit."""
    unlike: Differences = put_weights(
        load_weights(weights), session.plan.variables, session.variables
    )
    if unlike.missing or unlike.unlike:
        raise CheckpointError(
            "checkpoint-other-model", f"{weights} belongs to another model: {unlike}",
            help="evaluate it with the text and the -D settings that it was trained with",
        )


@dataclass(frozen=True)
class Predictor:
    """A model with trained weights, compiled for batches of `batch` examples and for one."""

    checked: Checked
    session: Session
    batch: int
    known: Known = field(default_factory=dict)  # what the numbers of the data stand for

    @property
    def data(self) -> DataSpec | None:
        """The data item that examples look like: that of the validation, or of the training."""
        settings = self.checked.settings
        if settings is None:
            return None
        return data_spec(settings.validate or settings.data, self.checked.inputs, self.known)

    def classes(self, output: str) -> tuple[str, ...]:
        """The classes that the numbers of an example's output are about, where that is known."""
        shape = self.outputs[output].shape
        fitting = [n.classes for n in self.known.values() if shape[1:] == (len(n.classes),)]
        return fitting[0] if fitting else ()

    @property
    def inputs(self) -> dict[str, TensorType]:
        """The inputs that the outputs depend on."""
        needed = self.session.inputs("predict")
        return {n: t for n, t in self.checked.inputs.items() if n in needed}

    @property
    def outputs(self) -> dict[str, TensorType]:
        graph = self.checked.evaluate.graph
        return {
            o.name.removeprefix("output."): graph.type_of(o.value)
            for o in graph.outputs if o.name.startswith("output.")
        }  # fmt: skip

    def predict(self, examples: Mapping[str, Array]) -> dict[str, Array]:
        """The outputs for examples stacked along the first axis, by name.

        Raises DataError where an input is missing, or has another shape or dtype.
        """
        count = self._count(examples)
        for name, type_ in self.outputs.items():
            if type_.shape[:1] != (symbol("batch"),):
                raise DataError(
                    "data-shape",
                    f"the output `{name}` is {type_}, and so has no value for each example",
                    help="evaluate a number for the whole batch as a metric",
                )
        parts = list(self._parts(examples, count))
        if not parts:
            raise DataError("data-empty", "there are no examples to predict")
        return {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}

    def _parts(self, examples: Mapping[str, Array], count: int) -> Iterator[dict[str, Array]]:
        whole = count - count % self.batch
        for start in range(0, whole, self.batch):
            yield self._run("predict", examples, start, start + self.batch)
        for start in range(whole, count):
            yield self._run("predict@1", examples, start, start + 1)

    def _run(
        self, program: str, examples: Mapping[str, Array], start: int, stop: int
    ) -> dict[str, Array]:
        for name, view in self.session.inputs(program).items():
            view[...] = examples[name][start:stop]
        outputs = self.session.run(program)
        return {n.removeprefix("output."): value for n, value in outputs.items()}

    def _count(self, examples: Mapping[str, Array]) -> int:
        counts = set()
        for name, type_ in self.inputs.items():
            if name not in examples:
                raise DataError("data-missing", f"the input `{name}`: {type_} is not given")
            _check_examples(name, examples[name], type_)
            counts.add(len(examples[name]))
        if len(counts) > 1:
            raise DataError("data-shape", f"the inputs have {sorted(counts)} examples")
        return counts.pop() if counts else 0


def _check_examples(name: str, given: Array, type_: TensorType) -> None:
    if given.shape[1:] != type_.shape[1:] or given.ndim == 0:
        raise DataError(
            "data-shape", f"the input `{name}` is {type_}, but the examples have the shape "
            f"{list(given.shape)}",
        )
    storage = DTYPES[type_.dtype].storage
    if not np.can_cast(given.dtype, storage, "same_kind"):
        raise DataError(
            "data-value", f"the input `{name}` is {type_}, but the examples are {given.dtype}"
        )
    if not np.can_cast(given.dtype, storage, "safe") and unfit(given, type_.dtype).any():
        raise DataError(
            "data-value", f"the input `{name}` is {type_}, and some examples are beyond its range")


def make_predictor(source: Source, sink: Sink, setup: Setup, weights: Path) -> Predictor:
    """A model with its weights, ready to predict; raises Stop, CheckpointError."""
    checked = check(source, sink, Options(defines=setup.defines))
    plan = plan_of(checked, sink, Options(defines=setup.defines, predict=(1,)), _nobody)
    if "predict" not in plan.programs:
        sink.report(Diagnostic(
            "no-output", f"the model `{checked.name}` declares no output to predict",
            help="output name = ..."))
        raise Stop
    session = Session(plan, setup.threads, device_of(setup.backend))
    load_trained(session, weights)
    return Predictor(checked, session, checked.batch, _known_for(checked, setup, weights))


def _known_for(checked: Checked, setup: Setup, weights: Path) -> Known:
    """The names from training: as its run has kept them, or from the data if they are here."""
    known = known_from(weights)
    if known or checked.settings is None:
        return known
    try:
        return _names_of_training(checked, setup)
    except DataError:
        return {}


def _names_of_training(checked: Checked, setup: Setup) -> Known:
    """The names in the training data of the text; `data-missing` where they are not here."""
    missing = "what training has called the numbers in the data is not known"
    help = "name the run folder with --weights: it keeps what training has learned of the data"
    if checked.settings is None:
        raise DataError("data-missing", f"{missing}: the text has no `train`", help=help)
    folder = folder_of(checked.world.tree.source)
    try:
        return names_of(
            open_data(checked.settings.data, checked.inputs, folder, setup.allow, {}))
    except DataError as error:
        raise DataError("data-missing", f"{missing}: {error}", help=help) from error


def _nobody(stage: str, value: object) -> None:
    return None
