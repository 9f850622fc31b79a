"""Whether asynchronous training reaches what synchronous training does: accuracy, seed by seed.

    python benchmarks/async_accuracy.py [--model M.flow] [--seeds 3] [--epochs 2] [--sync MODE]

Both do the same number of steps. In a synchronous one the workers share a batch, in an asynchronous
one a single worker has a batch to itself, and others change the weights meanwhile.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "lenet.flow")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--sync", default="async(4)")
    options = parser.parse_args()
    found: dict[str, list[float]] = {"sync": [], options.sync: []}
    for seed in range(1, options.seeds + 1):
        for mode, accuracies in found.items():
            accuracies.append(accuracy(options.model, mode, seed, options.epochs))
        print(f"seed {seed}: " + ", ".join(f"{m} {a[-1]:.4f}" for m, a in found.items()),
              flush=True)
    means = {mode: mean(accuracies) for mode, accuracies in found.items()}
    gap = 100 * (means["sync"] - means[options.sync])
    print(", ".join(f"{m} {a:.4f}" for m, a in means.items()) + f": {gap:+.2f} points apart")


def accuracy(model: Path, sync: str, seed: int, epochs: int) -> float:
    """On the validation data, after the last epoch."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-m", "flowc.cli", "train", str(model), "--local", str(WORKERS),
             "--sync", sync, "--seed", str(seed), "--epochs", str(epochs), "--json",
             "--out", f"{folder}/run"],
            capture_output=True, text=True, check=True)  # fmt: skip
    end = json.loads(done.stdout.splitlines()[-1])
    return float(end["metrics"]["accuracy"])


if __name__ == "__main__":
    main()
