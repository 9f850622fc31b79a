"""What machine code is worth: the time of a training step with each backend, model by model.

    python benchmarks/native.py [--threads 1] [--seconds 1] [--rounds 7] [--write] [MODEL ...]

A round times some steps with NumPy and then with machine code, of one batch that is in memory;
what counts is the ratio within a round. With more than one thread each is timed with one, too.
Medians over the rounds are printed. With --write the table is put between the markers for that
number of threads in docs/explanation/native-kernels.md.
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
from flowc_runtime.backend import ON_HOST
from flowc_runtime.data.errors import DataError
from flowc_runtime.training import bind_inputs

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "native-kernels.md"
END = "<!-- end -->"
MOST_STEPS = 1_000

Contestant = tuple[str, int]  # a backend, and how many threads


@dataclass(frozen=True)
class Row:
    """Seconds of a step by contestant and round."""

    model: str
    seconds: dict[Contestant, list[float]]

    def median(self, who: Contestant) -> float:
        return statistics.median(self.seconds[who])

    def ratio(self, who: Contestant, other: Contestant) -> float:
        """How many times as fast one is as another, as the median of the rounds' ratios."""
        pairs = zip(self.seconds[who], self.seconds[other], strict=True)
        return statistics.median(theirs / own for own, theirs in pairs)


def job_of(path: Path, backend: str, threads: int) -> TrainingJob:
    """The model with a backend, and one batch in its inputs."""
    sink = Sink()
    source = read_source(path, sink)
    assert source is not None
    job = prepare_training(source, sink, Setup({}, threads, backend=backend))
    targets = bind_inputs(job.data, job.session.inputs("train"), job.data.batch)
    job.data.read(1, 0, targets)
    return job


def seconds_of(job: TrainingJob, threads: int, steps: int) -> float:
    job.session.device.use_threads(threads)  # BLAS has as many for the whole process
    bound = job.session.bind("train")
    stop = len(bound.program.instructions)
    began = time.perf_counter()
    with np.errstate(all="ignore"):
        for step in range(steps):
            bound.set_system(1, step)
            bound.run(0, stop)
    return (time.perf_counter() - began) / steps


def measured(path: Path, contestants: list[Contestant], seconds: float, rounds: int) -> Row:
    jobs = {who: job_of(path, *who) for who in contestants}
    steps = {}
    for who, job in jobs.items():
        one = seconds_of(job, who[1], 2)
        steps[who] = min(MOST_STEPS, max(1, round(seconds / one)))
    found: dict[Contestant, list[float]] = {who: [] for who in contestants}
    for _ in range(rounds):
        for who, job in jobs.items():
            found[who].append(seconds_of(job, who[1], steps[who]))
    return Row(path.stem, found)


def rows(
    names: list[str], contestants: list[Contestant], seconds: float, rounds: int
) -> Iterator[Row]:
    for path in sorted((ROOT / "models").glob("*.flow")):
        if names and path.stem not in names:
            continue
        try:
            row = measured(path, contestants, seconds, rounds)
        except DataError as error:
            print(f"{path.stem}: left out ({error})", flush=True)
            continue
        print(" | ".join(cells_of(row, contestants)), flush=True)
        yield row


def cells_of(row: Row, contestants: list[Contestant]) -> list[str]:
    """Times, then what is worth what: machine code, and further threads."""
    found = [row.model, *(time_text(row.median(who)) for who in contestants)]
    threads = contestants[-1][1]
    found.append(f"{row.ratio(('native', threads), ('numpy', threads)):.2f}")
    if threads > 1:
        found.append(f"{row.ratio(('native', threads), ('native', 1)):.2f}")
    return found


def lines_of(found: list[Row], contestants: list[Contestant]) -> list[str]:
    threads = contestants[-1][1]
    names = {"numpy": "NumPy", "native": "native"}
    heads = ["model", *(
        f"{names[backend]}, {count}" if threads > 1 else names[backend]
        for backend, count in contestants)]
    heads.append("times as fast")
    if threads > 1:
        heads.append("as one thread")
    cells = [heads, ["---"] + ["---:"] * (len(heads) - 1)]
    cells += [cells_of(row, contestants) for row in found]
    return [f"| {' | '.join(row)} |" for row in cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("models", nargs="*")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    counts = sorted({1, options.threads})
    contestants = [(backend, count) for backend in ON_HOST for count in counts]
    found = list(rows(options.models, contestants, options.seconds, options.rounds))
    text = "\n".join(lines_of(found, contestants))
    print(text)
    if options.write:
        begin = f"<!-- native.py {options.threads} -->"
        before, rest = PAGE.read_text().split(begin)
        after = rest[rest.index(END) :]
        PAGE.write_text(f"{before}{begin}\n\n{text}\n\n{after}")


if __name__ == "__main__":
    main()
