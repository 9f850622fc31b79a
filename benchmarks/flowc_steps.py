"""Training steps of flowc's models, on demand: see `peers.py`.

    python benchmarks/flowc_steps.py MODEL numpy|native THREADS

See `serve.py` for what it reads and prints.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from serve import serve

from flowc.diagnostic import Sink
from flowc.jobs import initialise
from flowc.planning.compiled import compile_for
from flowc.syntax.read import read_source
from flowc_runtime.backend import device_of
from flowc_runtime.executor import Session

MODELS = Path(__file__).parent.parent / "models"
BATCHES = {"fashion_mlp": 128, "lenet": 64, "resnet20": 32, "char_lstm": 32, "gpt": 32}


def stepper(model: str, backend: str, threads: int) -> Callable[[int], None]:
    sink = Sink()
    source = read_source(MODELS / f"{model}.flow", sink)
    assert source is not None
    compiled = compile_for(source, sink, {"train.batch": str(BATCHES[model])}, None, None)
    session = Session(compiled.alone, threads, device_of(backend))
    initialise(session, 1)
    bound = session.bind("train")
    start = {path: view.copy() for path, view in session.variables.items()}
    batch = {name: made_up(view) for name, view in bound.inputs.items()}

    def steps(count: int) -> None:
        session.load(start)  # else the batch is soon learned, and its gradients denormal
        with np.errstate(all="ignore"):
            for step in range(count):
                for name, values in batch.items():
                    np.copyto(bound.inputs[name], values)
                bound.set_system(1, step)
                bound.run(0, len(bound.program.instructions))

    return steps


def made_up(view: np.ndarray) -> np.ndarray:
    """Bytes of pictures, or numbers of classes and letters."""
    most = 256 if view.dtype == np.uint8 else 10
    return np.random.default_rng(1).integers(0, most, view.shape).astype(view.dtype)


def main() -> None:
    model, backend, threads = sys.argv[1:]
    steps = stepper(model, backend, int(threads))
    serve(steps)


if __name__ == "__main__":
    main()
