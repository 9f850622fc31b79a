"""Calibration: kinds of work measured on this host, and a model's own instructions in place."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flowc.costs import Calibration, HostFacts, Seconds, default_calibration
from flowc.costs.fit import Rates, fit
from flowc.costs.signature import reading_signature, signatures
from flowc.costs.work import ROUND, Work, works_of
from flowc.jobs import data_spec, folder_of, initialise
from flowc.lower.settings import TrainSettings
from flowc.planning.compiled import Compiled
from flowc_runtime.backend import device_of
from flowc_runtime.calibrate.bench import entering_seconds, mixing, program_of, seconds_of
from flowc_runtime.calibrate.cases import Case, cases
from flowc_runtime.calibrate.host import host_facts
from flowc_runtime.calibrate.loop import loop_seconds, reading_seconds
from flowc_runtime.calibrate.steps import Fill, Timed, time_program
from flowc_runtime.cluster.plan import GRADIENT, UPDATE
from flowc_runtime.cluster.work.shard_reader import ShardReader
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.stream import Stream
from flowc_runtime.device import Device
from flowc_runtime.executor import Session
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Plan

STEP_PROGRAMS = ("train", GRADIENT, UPDATE)
LONG_SECONDS = 20e-6  # from here on a case says what a busy neighbour costs, and not its clock
ENTRIES = 4  # of a run of instructions: what an operation of a step table costs, about
GRADIENTS = 1e-3  # what stands in for values that come from another task

Crowd = Callable[[], AbstractContextManager[None]]  # keeps the other cores busy for a block


# --- the host ---------------------------------------------------------------------------------


def measure_host(threads: int, crowd: Crowd | None, backend: str = "numpy") -> Calibration:
    """All kinds of work at several sizes, for some seconds; without `crowd` there is one core.

    What it costs tasks to meet is not among it: see `meeting.py`. Raises BackendError.
    """
    device, measured = device_of(backend, threads), list(cases())
    taken = [seconds_of(case, device) for case in measured]
    entering = entering_seconds()
    factor = _crowding(measured, taken, crowd, device) if crowd else 1.0
    reading = reading_seconds()
    return Calibration(
        _this_host(backend, threads),
        _fitted(measured, [max(0.0, s - entering) for s in taken], entering),
        mixing(measured, taken, device), factor, loop_seconds(), ENTRIES * entering,
        fit([Work("read", bytes=size) for size, _ in reading], [s for _, s in reading]),
        default_calibration().meeting,
    )  # fmt: skip


def _this_host(backend: str, threads: int) -> HostFacts:
    return HostFacts(**host_facts(threads), backend=backend)  # type: ignore[arg-type]


def _fitted(
    measured: Sequence[Case], taken: Sequence[float], entering: float
) -> dict[str, Rates]:
    works: dict[str, list[tuple[Work, float]]] = defaultdict(list)
    for case, seconds in zip(measured, taken, strict=True):
        program = program_of(case)
        (work,) = works_of(program.instructions[0], program.buffers)
        works[work.key].append((work, seconds))
    rates = {key: fit([w for w, _ in seen], [s for _, s in seen]) for key, seen in works.items()}
    return rates | {ROUND: fit([Work(ROUND)], [ENTRIES * entering])}


def _crowding(
    measured: Sequence[Case], alone: Sequence[float], crowd: Crowd, device: Device
) -> float:
    """How much longer work takes beside others who do the same."""
    long = [(c, s) for c, s in zip(measured, alone, strict=True) if s > LONG_SECONDS]
    with crowd():
        return max(1.0, statistics.median(seconds_of(case, device) / s for case, s in long))


def keep_busy(backend: str, threads: int) -> None:
    """What a neighbour does meanwhile: the same."""
    device = device_of(backend, threads)
    for case in cases():
        seconds_of(case, device)


# --- a model ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Subject:
    """A program to be timed in its session; `reads` says that it is fed with examples."""

    session: Session
    program: str
    fill: Fill
    reads: bool


def measure_model(
    compiled: Compiled, allow: tuple[Path, ...], seconds: float, threads: int,
    calibration: Calibration, crowd: Crowd | None, backend: str = "numpy",
) -> Calibration:
    """The calibration with the instructions of a model's step, and of its parts; BackendError."""
    instructions: dict[str, list[Seconds]] = defaultdict(list)
    readings: dict[str, Seconds] = {}
    subjects = list(subjects_of(compiled, allow, device_of(backend, threads)))
    each = seconds / max(1, len(subjects)) / (2 if crowd else 1)
    alone = [time_program(s.session, s.program, s.fill, each) for s in subjects]
    crowded = alone
    if crowd is not None:
        with crowd():
            crowded = [time_program(s.session, s.program, s.fill, each) for s in subjects]
    for subject, one, other in zip(subjects, alone, crowded, strict=True):
        program = subject.session.plan.programs[subject.program]
        for name, a, b in zip(signatures(program), _net(one), _net(other), strict=True):
            instructions[name].append(Seconds(a, max(a, b)))
        if subject.reads:
            name = reading_signature(subject.session.plan.model, program)
            readings[name] = Seconds(one.filling, max(one.filling, other.filling))
    means = {name: _mean(found) for name, found in instructions.items()}
    return replace(calibration, host=_this_host(backend, threads)).with_model(means, readings)


def keep_model_busy(
    compiled: Compiled, allow: tuple[Path, ...], backend: str, threads: int
) -> Callable[[], None]:
    """What a neighbour does meanwhile: the same."""
    subjects = list(subjects_of(compiled, allow, device_of(backend, threads)))

    def work() -> None:
        for subject in subjects:
            time_program(subject.session, subject.program, subject.fill, 0.0)

    return work


def subjects_of(
    compiled: Compiled, allow: tuple[Path, ...], device: Device | None = None,
    programs: Collection[str] | None = None,
) -> Iterator[Subject]:
    """The programs of a step, of one process and of each role of the cluster's plan; or those
    that are named."""
    stream = _stream(compiled, allow)
    settings = compiled.checked.settings
    assert settings is not None
    seed = settings.seed
    alone = Session(compiled.alone, None, device)
    initialise(alone, seed)
    plans: list[tuple[Plan, int]] = [(compiled.alone, settings.batch // compiled.shards)]
    if compiled.parts is not None:
        plans += [(part.plan, compiled.parts.shard_size) for part in compiled.parts.parts]
    for plan, size in plans:
        session = alone if plan is compiled.alone else Session(plan, None, device)
        known = {v.path for v in plan.variables}
        session.load({path: v for path, v in alone.variables.items() if path in known})
        for program in programs or STEP_PROGRAMS:
            if program in plan.programs:
                fed = stream if program in STEP_PROGRAMS else None
                yield _subject(session, program, fed, size)


def _stream(compiled: Compiled, allow: tuple[Path, ...]) -> Stream | None:
    """The model's examples; None where they are not at hand."""
    settings: TrainSettings | None = compiled.checked.settings
    assert settings is not None
    spec = data_spec(settings.data, compiled.checked.inputs)
    try:
        dataset = spec.open(folder_of(compiled.checked.world.tree.source), allow)
        return Stream(dataset, settings.batch, settings.seed, dataset.shuffled, "drop")
    except DataError:
        return None


def _subject(session: Session, program: str, stream: Stream | None, size: int) -> Subject:
    inputs = session.inputs(program)
    fields = {f.name for f in stream.dataset.fields} if stream else set()
    strange = [view for name, view in inputs.items() if name not in fields]
    if stream is None or program == UPDATE:
        return Subject(session, program, lambda number: _make_up(strange), False)
    reader = ShardReader(stream, size, {name for name in inputs if name not in fields})
    reader.bind(inputs)
    shards = stream.batch // size

    def fill(number: int) -> None:
        reader(number + 1, number % shards, inputs)

    if not strange:
        return Subject(session, program, fill, True)

    def fill_all(number: int) -> None:
        fill(number)
        _make_up(strange)

    return Subject(session, program, fill_all, False)


def _make_up(views: Sequence[Array]) -> None:
    """Values that every kernel takes: small numbers, and indices that are in range."""
    random = np.random.default_rng(1)
    for view in views:
        if view.dtype.kind == "f":
            view[...] = GRADIENTS * random.standard_normal(view.shape, np.float32)
        else:
            view[...] = 0


def _net(timed: Timed) -> list[float]:
    """Seconds of the instructions, less what it cost to look at the clock between them."""
    return [max(0.0, s - timed.looking) for s in timed.instructions]


def _mean(found: Sequence[Seconds]) -> Seconds:
    total = Seconds(0.0, 0.0)
    for seconds in found:
        total += seconds
    return total.times(1 / len(found))
