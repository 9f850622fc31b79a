"""A step measured instruction by instruction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from flowc.planning.compiled import Compiled
from flowc.planning.measure import Subject, subjects_of
from flowc_runtime.backend import device_of
from flowc_runtime.calibrate.roof import Roof, measure_roof
from flowc_runtime.calibrate.steps import Timed, time_program
from flowc_runtime.plan import Instruction, Program
from flowc_runtime.threads import limit_threads

ROOF_SECONDS = 0.4


@dataclass(frozen=True)
class Row:
    """An instruction, or several that belong together.

    `seconds` are those of one step, `began` when in the step the first one ran, in seconds from
    its beginning. `runs_on` is the backend that has code for it.
    """

    name: str
    at: str
    path: str
    runs_on: str
    count: int
    began: float
    seconds: float
    flops: int
    bytes: int


@dataclass(frozen=True)
class Profiled:
    """One program. Seconds: `whole` of a run in which nothing was timed inside, `filling` of
    putting the examples into place, where `reads` says that they are the model's own."""

    program: str
    rows: tuple[Row, ...]
    whole: float
    filling: float
    reads: bool
    runs: int

    @property
    def seconds(self) -> float:
        return sum(row.seconds for row in self.rows)


@dataclass(frozen=True)
class Profile:
    model: str
    batch: int
    backend: str
    threads: int
    roof: Roof
    programs: tuple[Profiled, ...]


def profile(
    compiled: Compiled, allow: tuple[Path, ...], backend: str, threads: int, seconds: float,
    program: str | None = None,
) -> Profile:
    """The programs of a step, or the one that is named; BackendError, BadValue.

    Where the model's data are not at hand, made-up ones serve.
    """
    limit_threads(threads)
    roof = measure_roof(ROOF_SECONDS)
    wanted = (program,) if program else None
    subjects = list(subjects_of(compiled, allow, device_of(backend, threads), wanted))
    each = seconds / max(1, len(subjects))
    settings = compiled.checked.settings
    assert settings is not None
    return Profile(
        compiled.alone.model, settings.batch, backend, threads, roof,
        tuple(_profiled(subject, each) for subject in subjects))


def _profiled(subject: Subject, seconds: float) -> Profiled:
    bound = subject.session.bind(subject.program)
    timed = time_program(subject.session, subject.program, subject.fill, seconds)
    names = subject.session.device.runs_on(bound.program)
    rows = tuple(_rows(bound.program, names, timed))
    return Profiled(
        subject.program, rows, timed.whole, timed.filling, subject.reads, timed.runs)


def _rows(program: Program, runs_on: Sequence[str], timed: Timed) -> Iterator[Row]:
    looking = timed.looking
    began = 0.0
    for instruction, place, seconds in zip(
        program.instructions, runs_on, timed.instructions, strict=True
    ):
        taken = max(0.0, seconds - looking)
        yield Row(
            name_of(instruction), instruction.at, instruction.path, place, 1, began, taken,
            instruction.flops, instruction.bytes)
        began += taken


def name_of(instruction: Instruction) -> str:
    """The op; of a fused instruction all its ops, in order."""
    if instruction.op != "fused":
        return instruction.op
    ops = [line.partition(" = ")[2].partition("(")[0] for line in instruction.attrs["lines"]]
    return " ".join(dict.fromkeys(ops))


def grouped(rows: Sequence[Row], by: str) -> tuple[Row, ...]:
    """Rows of one `name`, `at` or `path` together, in the order of their first; or each by itself
    where `by` is `instruction`."""
    if by == "instruction":
        return tuple(rows)
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(getattr(row, by), []).append(row)
    return tuple(_together(group) for group in found.values())


def _together(rows: Sequence[Row]) -> Row:
    def one(values: list[str]) -> str:
        return values[0] if len(set(values)) == 1 else ""

    return Row(
        one([r.name for r in rows]), one([r.at for r in rows]), one([r.path for r in rows]),
        "+".join(sorted({name for r in rows for name in r.runs_on.split("+")})),
        len(rows), rows[0].began,
        sum(r.seconds for r in rows), sum(r.flops for r in rows), sum(r.bytes for r in rows))
