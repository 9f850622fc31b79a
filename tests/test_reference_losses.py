"""fashion_mlp against a NumPy script of its own: the same weights give the same losses."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from flowc.diagnostic import Sink
from flowc.jobs import Setup, prepare_training, run_training
from flowc.syntax.read import read_source
from flowc_runtime.events import StepDone
from flowc_runtime.training import StopSignal

MODELS = Path(__file__).parent.parent / "models"
BATCH, STEPS, RATE = 128, 20, 0.1


def read_gz(name: str, header_bytes: int) -> np.ndarray:
    raw = gzip.decompress((MODELS / "data" / "fashion" / name).read_bytes())
    return np.frombuffer(raw, np.uint8, offset=header_bytes)


def numpy_losses(w1: np.ndarray, b1: np.ndarray, w2: np.ndarray, b2: np.ndarray) -> list[float]:
    """Gradient descent on a perceptron, written down from the formulas, in f64."""
    images = read_gz("train-images.gz", 16).reshape(-1, 784) / 255.0
    labels = read_gz("train-labels.gz", 8).astype(int)
    losses = []
    for i in range(STEPS):
        x, y = images[i * BATCH : (i + 1) * BATCH], labels[i * BATCH : (i + 1) * BATCH]
        h = x @ w1 + b1
        a = np.maximum(h, 0)
        z = a @ w2 + b2
        p = np.exp(z - z.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        losses.append(float(-np.log(p[np.arange(BATCH), y]).mean()))
        dz = p.copy()
        dz[np.arange(BATCH), y] -= 1
        dz /= BATCH
        dh = dz @ w2.T * (h > 0)
        w2 = w2 - RATE * a.T @ dz
        b2 = b2 - RATE * dz.sum(0)
        w1 = w1 - RATE * x.T @ dh
        b1 = b1 - RATE * dh.sum(0)
    return losses


def flowc_losses(weights: dict[str, np.ndarray]) -> list[float]:
    defines = {
        "train.data": "train",  # in the order of the file
        "train.optimizer": f"sgd(lr = {RATE})",
        "train.steps": str(STEPS),
        "train.log_every": "1",
    }
    sink = Sink()
    source = read_source(MODELS / "fashion_mlp.flow", sink)
    job = prepare_training(source, sink, Setup(defines))
    job.session.load(weights)
    losses: list[float] = []

    def emit(event: object) -> None:
        if isinstance(event, StepDone):
            losses.append(event.loss)

    run_training(job, None, emit, False, StopSignal())
    return losses


def test_the_first_twenty_losses_equal_those_of_a_numpy_script() -> None:
    rng = np.random.default_rng(11)
    shapes = {
        "logits.dense.weight": (784, 128), "logits.dense.bias": (128,),
        "logits.weight": (128, 10), "logits.bias": (10,),
    }  # fmt: skip
    weights = {p: rng.normal(0, 0.05, s).astype(np.float32) for p, s in shapes.items()}
    expected = numpy_losses(*(w.astype(np.float64) for w in weights.values()))
    found = flowc_losses(weights)
    assert len(found) == STEPS
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
