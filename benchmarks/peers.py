"""Training steps beside PyTorch, JAX and TensorFlow: `make bench`.

    python benchmarks/peers.py [--torch PYTHON] [--jax PYTHON] [--tensorflow PYTHON]
                               [--threads 1] [--rounds 7] [--write] [MODEL ...]

PYTHON is an interpreter that has the peer (jax: and optax). Each contestant is a process of its
own. A round does some steps of each, one after the other, of the same model at the same batch, with
one batch in memory; what counts is the ratio within a round: medians and quartiles over the rounds.
PyTorch has its fused optimizers, and channels last for images. A second table has the seconds from
the start of a process to the end of its first step, and the most memory that it had. With --write
the tables are put into docs/explanation/speed.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from flowc_steps import BATCHES

from flowc.planning.units import time_text
from flowc_runtime.backend import ON_HOST

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs" / "explanation" / "speed.md"
MODES = {"torch": ("eager", "compile"), "jax": ("jit",), "tensorflow": ("graph", "xla")}
OURS = "flowc native"
SECONDS = 0.7  # of one contestant in a round


@dataclass
class Contestant:
    """A process that does steps; `found` are the seconds of a step, by round."""

    process: subprocess.Popen[str]
    first_seconds: float = 0.0
    count: int = 1  # of steps in a round
    found: list[float] = field(default_factory=list)

    def steps(self, count: int) -> float:
        """The seconds that so many steps take."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def settle(self) -> None:
        """Finds out how many steps a round has."""
        self.steps(3)
        self.count = max(1, round(SECONDS * 3 / self.steps(3)))

    def round(self) -> None:
        self.found.append(self.steps(self.count) / self.count)

    @property
    def peak_bytes(self) -> int:
        """The most memory that the process had, where the system tells."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return 1024 * int(status.partition("VmHWM:")[2].split()[0])


@contextmanager
def started(python: str, peer: str, model: str, mode: str, threads: int) -> Iterator[Contestant]:
    command = [python, HERE / f"{peer}_steps.py", model, mode, str(threads)]
    # What pip installs is kept as bytecode; so is flowc of a checkout, but not where this is set.
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    began = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        text=True, env=environment)
    contestant = Contestant(process)
    with process:
        contestant.steps(1)
        contestant.first_seconds = time.perf_counter() - began
        yield contestant
        assert process.stdin is not None
        process.stdin.close()


def measured(
    model: str, pythons: dict[str, str], threads: int, rounds: int
) -> tuple[dict[str, list[float]], list[str]]:
    """Seconds of a step by contestant and round; what each needs to begin and to live."""
    with ExitStack() as stack:
        contestants = {
            f"{peer} {mode}": stack.enter_context(started(python, peer, model, mode, threads))
            for peer, python in pythons.items()
            for mode in (ON_HOST if peer == "flowc" else MODES[peer])
        }
        for contestant in contestants.values():
            contestant.settle()
        for _ in range(rounds):
            for contestant in contestants.values():
                contestant.round()
        needs = [
            f"{c.first_seconds:.2f} s, {c.peak_bytes / 1e6:.0f} MB" for c in contestants.values()]
    return {name: c.found for name, c in contestants.items()}, needs


def cells_of(found: dict[str, list[float]]) -> list[str]:
    """Medians, and how much sooner we are done than the best of the others in the same round."""
    cells = [time_text(statistics.median(seconds)) for seconds in found.values()]
    peers = [seconds for name, seconds in found.items() if not name.startswith("flowc")]
    if peers:
        best = map(min, zip(*peers, strict=True))
        ratios = [b / ours for b, ours in zip(best, found[OURS], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
        cells.append(f"{middle:.2f} ({low:.2f} to {high:.2f})")
    return cells


def table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*", default=list(BATCHES))
    for peer in MODES:
        parser.add_argument(f"--{peer}", metavar="PYTHON")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    pythons = {"flowc": sys.executable} | {p: found for p in MODES if (found := vars(given)[p])}
    steps, needs = list[list[str]](), list[list[str]]()
    for model in given.models:
        found, needed = measured(model, pythons, given.threads, given.rounds)
        steps.append([model, str(BATCHES[model]), *cells_of(found)])
        needs.append([model, *needed])
        print(" | ".join(steps[-1]), flush=True)
    ratio = ["times as fast as the best peer (quartiles)"] if len(pythons) > 1 else []
    heads = ["model", "batch", *found, *ratio]
    text = f"{table(heads, steps)}\n\n{table(['model', *found], needs)}"
    print(f"\n{text}")
    if given.write:
        write(given.threads, text)


def write(threads: int, tables: str) -> None:
    begin, end = f"<!-- peers.py {threads} -->", "<!-- end -->"
    text = PAGE.read_text()
    before, _, rest = text.partition(begin)
    assert rest, f"{PAGE} has no {begin}"
    after = rest[rest.index(end) :]
    PAGE.write_text(f"{before}{begin}\n\n{tables}\n\n{after}")


if __name__ == "__main__":
    main()
