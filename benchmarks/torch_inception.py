"""Inception-v3 and its trainer written in PyTorch: the same weights give the same losses.

    python benchmarks/torch_inception.py [--batch 8] [--side 299] [--steps 2]

Prints the loss of each step on both sides, and how long the steps took. Needs torch. The weights
are flowc's first ones, passed on as safetensors; the pictures are drawn by seed. Dropout is off,
since the two draw other numbers. flowc computes in f32, PyTorch in the dtype of `--dtype`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file
from torch.nn import functional as F

from flowc.diagnostic import Sink
from flowc.driver import Options, compile
from flowc.jobs import initialise
from flowc.syntax.read import read_source
from flowc_runtime.executor import Session

MODEL = Path(__file__).parent.parent / "models" / "inception_v3.flow"
RATE, DECAY, MOMENTUM, EPS, WEIGHT_DECAY = 0.045, 0.9, 0.9, 1.0, 4e-5
Tensors = dict[str, torch.Tensor]


class Inception:
    """The network in the order of its layers, each of which takes the next weights."""

    def __init__(self, weights: Tensors):
        self.weights = weights
        self.kernels: Iterator[str] = iter(())

    def unit(self, x: torch.Tensor, stride: int = 1, same: bool = True) -> torch.Tensor:
        path = next(self.kernels).removesuffix("conv.kernel")
        kernel = self.weights[f"{path}conv.kernel"].permute(3, 2, 0, 1)
        padding = [size // 2 for size in kernel.shape[2:]] if same else 0
        x = F.conv2d(x, kernel, stride=stride, padding=padding)
        scale, shift = self.weights[f"{path}norm.scale"], self.weights[f"{path}norm.shift"]
        return F.relu(F.batch_norm(x, None, None, scale, shift, training=True, eps=1e-3))

    def units(self, x: torch.Tensor, count: int) -> torch.Tensor:
        for _ in range(count):
            x = self.unit(x)
        return x

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        return self.unit(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))

    def mixed_a(self, x: torch.Tensor) -> torch.Tensor:
        branches = [self.units(x, 1), self.units(x, 2), self.units(x, 3), self.pooled(x)]
        return torch.cat(branches, 1)

    def mixed_b(self, x: torch.Tensor) -> torch.Tensor:
        three = self.unit(x, 2, False)
        double = self.unit(self.units(x, 2), 2, False)
        return torch.cat([three, double, F.max_pool2d(x, 3, 2)], 1)

    def mixed_c(self, x: torch.Tensor) -> torch.Tensor:
        branches = [self.units(x, 1), self.units(x, 3), self.units(x, 5), self.pooled(x)]
        return torch.cat(branches, 1)

    def mixed_d(self, x: torch.Tensor) -> torch.Tensor:
        three = self.unit(self.units(x, 1), 2, False)
        seven = self.unit(self.units(x, 3), 2, False)
        return torch.cat([three, seven, F.max_pool2d(x, 3, 2)], 1)

    def mixed_e(self, x: torch.Tensor) -> torch.Tensor:
        one, three, double, pool = self.units(x, 1), self.unit(x), self.units(x, 2), self.pooled(x)
        crossed = [self.unit(three), self.unit(three), self.unit(double), self.unit(double)]
        return torch.cat([one, *crossed, pool], 1)

    def dense(self, x: torch.Tensor, path: str) -> torch.Tensor:
        return x @ self.weights[f"{path}.weight"] + self.weights[f"{path}.bias"]

    def loss(self, image: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        self.kernels = (path for path in self.weights if path.endswith("conv.kernel"))
        x = (image.permute(0, 3, 1, 2) / 255 - 0.5) * 2
        x = self.units(self.unit(self.unit(x, 2, False), 1, False), 1)
        x = self.unit(self.unit(F.max_pool2d(x, 3, 2)), 1, False)
        x = F.max_pool2d(x, 3, 2)
        for _ in range(3):
            x = self.mixed_a(x)
        x = self.mixed_b(x)
        for _ in range(4):
            x = self.mixed_c(x)
        aux = self.unit(self.unit(F.avg_pool2d(x, 5, 3)), 1, False).permute(0, 2, 3, 1).flatten(1)
        x = self.mixed_e(self.mixed_e(self.mixed_d(x)))
        logits, aux = self.dense(x.mean((2, 3)), "logits"), self.dense(aux, "aux_logits.dense")
        losses = [F.cross_entropy(y, label, label_smoothing=0.1) for y in (logits, aux)]
        return losses[0] + 0.4 * losses[1]


class RmsProp:
    """TensorFlow's form, with decay of the kernels."""

    def __init__(self, weights: Tensors):
        self.weights = weights
        self.squares = {path: torch.ones_like(w) for path, w in weights.items()}
        self.velocity = {path: torch.zeros_like(w) for path, w in weights.items()}

    @torch.no_grad()
    def step(self) -> None:
        for path, weight in self.weights.items():
            assert weight.grad is not None
            grad = weight.grad + (WEIGHT_DECAY * weight if weight.ndim > 1 else 0)
            self.squares[path].mul_(DECAY).add_((1 - DECAY) * grad * grad)
            moved = RATE * grad / torch.sqrt(self.squares[path] + EPS)
            self.velocity[path].mul_(MOMENTUM).add_(moved)
            weight -= self.velocity[path]
            weight.grad = None


def open_session(batch: int, side: int) -> tuple[Session, list[str]]:
    """A session with first weights, and the paths of the parameters in the order of the text."""
    sink = Sink()
    source = read_source(MODEL, sink)
    assert source is not None
    defines = {"train.batch": str(batch), "side": str(side), "dropped": "0.0"}
    checked, plan = compile(source, sink, Options(defines=defines))
    session = Session(plan, None)
    initialise(session, seed=1)
    params = {v.path for v in plan.variables if v.kind == "param"}
    return session, [path for path in checked.train.variables if path in params]


def through_a_file(session: Session, paths: list[str], dtype: torch.dtype) -> Tensors:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.safetensors"
        save_file({path: session.variables[path].copy() for path in paths}, file)
        loaded = load_file(file)
    return {path: loaded[path].to(dtype).requires_grad_() for path in paths}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--side", type=int, default=299)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    given = parser.parse_args()
    session, paths = open_session(given.batch, given.side)
    weights = through_a_file(session, paths, getattr(torch, given.dtype))
    network, optimizer = Inception(weights), RmsProp(weights)
    rng = np.random.default_rng(1)
    for step in range(1, given.steps + 1):
        image = rng.integers(0, 256, (given.batch, given.side, given.side, 3), np.uint8)
        label = rng.integers(0, 1001, given.batch, np.int32)
        start = time.perf_counter()
        session.inputs("train")["image"][...] = image
        session.inputs("train")["label"][...] = label
        ours = float(session.run("train", seed=1, step=step)["loss"])
        middle = time.perf_counter()
        tensor = torch.from_numpy(image).to(getattr(torch, given.dtype))
        loss = network.loss(tensor, torch.from_numpy(label).long())
        loss.backward()
        optimizer.step()
        theirs, end = float(loss.detach()), time.perf_counter()
        print(f"step {step}: flowc {ours:.6f} in {middle - start:.1f} s, torch {theirs:.6f} "
              f"in {end - middle:.1f} s, apart {abs(ours - theirs):.1e}", flush=True)


if __name__ == "__main__":
    main()
