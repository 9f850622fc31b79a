"""`make bench`: steps per second of fashion_mlp in flowc and by hand in NumPy, in alternation.

Both read the same shuffled batches out of memory. A round times flowc, then NumPy; what counts
is the ratio within a round, because machines drift. Medians and quartiles are printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy_mlp import NumpyMlp

from flowc.diagnostic import Sink
from flowc.jobs import Setup, TrainingJob, prepare_training
from flowc.syntax.read import read_source
from flowc_runtime.threads import limit_threads
from flowc_runtime.training import bind_inputs

MODEL = Path(__file__).parent.parent / "models" / "fashion_mlp.flow"


def open_job(threads: int) -> TrainingJob:
    sink = Sink()
    source = read_source(MODEL, sink)
    assert source is not None
    return prepare_training(source, sink, Setup({}, threads))


def flowc_loop(job: TrainingJob) -> Callable[[int], None]:
    """Steps as `flowc train` makes them: read into the inputs, run the plan."""
    targets = bind_inputs(job.data, job.session.inputs("train"), job.data.batch)
    position = 0

    def loop(steps: int) -> None:
        nonlocal position
        for _ in range(steps):
            at = job.data.position(position)
            job.data.read(at.epoch, at.index, targets)
            position += 1
            job.session.run("train", seed=7, step=position)

    return loop


def numpy_loop(job: TrainingJob) -> Callable[[int], None]:
    """The same batches through the network written by hand."""
    count, batch = len(job.data.dataset), job.data.batch
    arrays = [np.empty((count, 28, 28), np.uint8), np.empty(count, np.int32)]
    job.data.dataset.read(np.arange(count), arrays)
    images, labels = arrays
    network = NumpyMlp(batch)
    position = 0

    def loop(steps: int) -> None:
        nonlocal position
        for _ in range(steps):
            at = job.data.position(position)
            chosen = job.data.indices(at.epoch, at.index)
            position += 1
            network.step(images[chosen], labels[chosen])

    return loop


def seconds_of(loop: Callable[[int], None], steps: int) -> float:
    start = time.perf_counter()
    loop(steps)
    return time.perf_counter() - start


def quartiles(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:9.2f}  ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    job = open_job(given.threads)
    limit_threads(given.threads)
    loops = {"flowc": flowc_loop(job), "numpy": numpy_loop(job)}
    for loop in loops.values():
        loop(given.steps)
    rates: dict[str, list[float]] = {name: [] for name in loops}
    for _ in range(given.rounds):
        for name, loop in loops.items():
            rates[name].append(given.steps / seconds_of(loop, given.steps))
    print(f"fashion_mlp, batch 128, adam, {given.threads} thread(s), {given.rounds} rounds of "
          f"{given.steps} steps; median (quartiles)")
    for name, values in rates.items():
        print(f"  {name:6} {quartiles(values)} steps/s")
    ratios = [a / b for a, b in zip(rates["flowc"], rates["numpy"], strict=True)]
    print(f"  ratio  {quartiles(ratios)}")


if __name__ == "__main__":
    main()
