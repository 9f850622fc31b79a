"""Training steps beside PyTorch: `make bench`.

    python benchmarks/peers.py --torch-python PYTHON [--compile] [--threads 1] [--write] [MODEL ...]

PYTHON is an interpreter that has torch. A round does some steps of each contestant, one after the
other, of the same model at the same batch, with one batch in memory; what counts is the ratio
within a round. Medians and quartiles over the rounds. PyTorch has its fused optimizers, and
channels last for images. With --write the table is put into docs/explanation/speed.md.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from flowc.diagnostic import Sink
from flowc.jobs import initialise
from flowc.planning.compiled import compile_for
from flowc.planning.units import time_text
from flowc.syntax.read import read_source
from flowc_runtime.backend import BACKENDS, device_of
from flowc_runtime.executor import Session

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "explanation" / "speed.md"
SCRIPT = Path(__file__).parent / "torch_steps.py"
BATCHES = {"fashion_mlp": 128, "lenet": 64, "resnet20": 32, "char_lstm": 32, "gpt": 32}
SECONDS = 0.7  # of one contestant in a round

Steps = Callable[[int], float]  # seconds that so many steps take


def flowc_steps(model: str, backend: str, threads: int) -> Steps:
    sink = Sink()
    source = read_source(ROOT / "models" / f"{model}.flow", sink)
    assert source is not None
    compiled = compile_for(source, sink, {"train.batch": str(BATCHES[model])}, None, None)
    session = Session(compiled.alone, threads, device_of(backend))
    initialise(session, 1)
    bound = session.bind("train")
    start = {path: view.copy() for path, view in session.variables.items()}
    batch = {name: made_up(view) for name, view in bound.inputs.items()}

    def steps(count: int) -> float:
        session.device.use_threads(threads)  # the other backend has its own for the whole process
        session.load(start)  # else the batch is soon learned, and its gradients denormal
        began = time.perf_counter()
        with np.errstate(all="ignore"):
            for step in range(count):
                for name, values in batch.items():
                    np.copyto(bound.inputs[name], values)
                bound.set_system(1, step)
                bound.run(0, len(bound.program.instructions))
        return time.perf_counter() - began

    return steps


def made_up(view: np.ndarray) -> np.ndarray:
    """Bytes of pictures, or numbers of classes and letters."""
    most = 256 if view.dtype == np.uint8 else 10
    return np.random.default_rng(1).integers(0, most, view.shape).astype(view.dtype)


@contextmanager
def torch_steps(python: str, model: str, mode: str, threads: int) -> Iterator[Steps]:
    process = subprocess.Popen(
        [python, SCRIPT, model, mode, str(threads)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None

    def steps(count: int) -> float:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(f"{count}\n")
        process.stdin.flush()
        return float(process.stdout.readline())

    with process:
        yield steps
        process.stdin.close()


def measured(
    model: str, python: str | None, modes: list[str], threads: int, rounds: int
) -> dict[str, list[float]]:
    """Seconds of a step by contestant and round."""
    with ExitStack() as stack:
        contestants: dict[str, Steps] = {
            f"flowc {backend}": flowc_steps(model, backend, threads) for backend in BACKENDS}
        if python is not None:
            for mode in modes:
                contestants[f"torch {mode}"] = stack.enter_context(
                    torch_steps(python, model, mode, threads))
        counts = {}
        for name, steps in contestants.items():
            steps(3)
            counts[name] = max(1, round(SECONDS * 3 / steps(3)))
        found: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(rounds):
            for name, steps in contestants.items():
                found[name].append(steps(counts[name]) / counts[name])
    return found


def row(model: str, found: dict[str, list[float]]) -> str:
    cells = [model, str(BATCHES[model])]
    cells += [time_text(statistics.median(seconds)) for seconds in found.values()]
    torch = [seconds for name, seconds in found.items() if name.startswith("torch")]
    if torch:
        best = map(min, zip(*torch, strict=True))
        ratios = [b / ours for b, ours in zip(best, found["flowc native"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(BATCHES))
    parser.add_argument("--torch-python")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    modes = ["eager", "compile"] if given.compile else ["eager"]
    lines = []
    for model in given.models:
        found = measured(model, given.torch_python, modes, given.threads, given.rounds)
        if not lines:
            names = ["model", "batch", *found, "times as fast as torch (quartiles)"]
            names = names if given.torch_python else names[:-1]
            lines = [f"| {' | '.join(names)} |", f"| --- |{' ---: |' * (len(names) - 1)}"]
            print("\n".join(lines))
        lines.append(row(model, found))
        print(lines[-1], flush=True)
    if given.write:
        begin, end = f"<!-- peers.py {given.threads} -->", "<!-- end -->"
        text = PAGE.read_text()
        before, _, rest = text.partition(begin)
        assert rest, f"{PAGE} has no {begin}"
        after = rest[rest.index(end) :]
        table = "\n".join(lines)
        PAGE.write_text(f"{before}{begin}\n\n{table}\n\n{after}")


if __name__ == "__main__":
    sys.exit(main())
