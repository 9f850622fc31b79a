"""What machine code is worth: the time of a training step with each backend, model by model.

    python benchmarks/native.py [--seconds 1] [--rounds 7] [--write] [MODEL ...]

A round times some steps with NumPy and then with machine code, of one batch that is in memory;
what counts is the ratio within a round. Medians over the rounds are printed. With --write the
table is put between the markers of docs/explanation/native-kernels.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from flowc.diagnostic import Sink
from flowc.jobs import Setup, TrainingJob, prepare_training
from flowc.planning.units import time_text
from flowc.syntax.read import read_source
from flowc_runtime.backend import BACKENDS
from flowc_runtime.data.errors import DataError
from flowc_runtime.training import bind_inputs

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "native-kernels.md"
BEGIN, END = "<!-- native.py -->", "<!-- end -->"
MOST_STEPS = 1_000


@dataclass(frozen=True)
class Row:
    """Seconds of a step by backend, and the median of the rounds' ratios."""

    model: str
    seconds: tuple[float, float]
    ratio: float


def jobs_of(path: Path) -> tuple[TrainingJob, ...]:
    """The model with each backend, and one batch in its inputs."""
    found = []
    for backend in BACKENDS:
        sink = Sink()
        source = read_source(path, sink)
        assert source is not None
        job = prepare_training(source, sink, Setup({}, backend=backend))
        targets = bind_inputs(job.data, job.session.inputs("train"), job.data.batch)
        job.data.read(1, 0, targets)
        found.append(job)
    return tuple(found)


def seconds_of(job: TrainingJob, steps: int) -> float:
    bound = job.session.bind("train")
    stop = len(bound.program.instructions)
    began = time.perf_counter()
    with np.errstate(all="ignore"):
        for step in range(steps):
            bound.set_system(1, step)
            bound.run(0, stop)
    return (time.perf_counter() - began) / steps


def measured(path: Path, seconds: float, rounds: int) -> Row:
    jobs = jobs_of(path)
    steps = [min(MOST_STEPS, max(1, round(seconds / seconds_of(job, 2)))) for job in jobs]
    found = [
        [seconds_of(job, count) for job, count in zip(jobs, steps, strict=True)]
        for _ in range(rounds)
    ]
    numpy, native = zip(*found, strict=True)
    ratios = [a / b for a, b in found]
    return Row(
        path.stem, (statistics.median(numpy), statistics.median(native)),
        statistics.median(ratios))


def rows(names: list[str], seconds: float, rounds: int) -> Iterator[Row]:
    for path in sorted((ROOT / "models").glob("*.flow")):
        if names and path.stem not in names:
            continue
        try:
            row = measured(path, seconds, rounds)
        except DataError as error:
            print(f"{path.stem}: left out ({error})", flush=True)
            continue
        print(f"{row.model}: {row.ratio:.2f}", flush=True)
        yield row


def lines_of(found: list[Row]) -> list[str]:
    cells = [("model", "NumPy", "native", "times as fast"), ("---", "---:", "---:", "---:")]
    cells += [(r.model, *map(time_text, r.seconds), f"{r.ratio:.2f}") for r in found]
    return [f"| {' | '.join(row)} |" for row in cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    text = "\n".join(lines_of(list(rows(options.models, options.seconds, options.rounds))))
    print(text)
    if options.write:
        before, rest = PAGE.read_text().split(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{rest.split(END)[1]}")


if __name__ == "__main__":
    main()
