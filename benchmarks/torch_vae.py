"""The variational autoencoder written in PyTorch: from the same weights its loss falls as flowc's.

    python benchmarks/torch_vae.py [--steps 200]

The same batches in the same order, Adam on both sides; the normal numbers in the middle are each
side's own. Prints the mean loss of every 50 steps. Needs torch.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from flowc.diagnostic import Sink
from flowc.jobs import Setup, initialise, prepare_training
from flowc.syntax.read import read_source
from flowc_runtime.training import bind_inputs

MODEL = Path(__file__).parent.parent / "models" / "vae.flow"
EVERY = 50
Tensors = dict[str, torch.Tensor]


def torch_loss(w: Tensors, image: torch.Tensor) -> torch.Tensor:
    def dense(x: torch.Tensor, path: str) -> torch.Tensor:
        return x @ w[f"{path}.weight"] + w[f"{path}.bias"]

    x = image.float().flatten(1) / 255
    seen = dense(x, "seen.dense").relu()
    center, spread = dense(seen, "center"), dense(seen, "log_variance")
    drawn = center + torch.exp(0.5 * spread) * torch.randn_like(center)
    logits = dense(dense(drawn, "logits.dense").relu(), "logits")
    lost = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1).mean()
    return lost - 0.5 * (1 + spread - center**2 - spread.exp()).sum(1).mean()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200)
    steps = parser.parse_args().steps
    sink = Sink()
    source = read_source(MODEL, sink)
    assert source is not None
    job = prepare_training(source, sink, Setup({}))
    session = job.session
    initialise(session, seed=1)
    torch.manual_seed(1)
    params = [v.path for v in session.plan.variables if v.kind == "param"]
    weights = {p: torch.tensor(session.variables[p], requires_grad=True) for p in params}
    optimizer = torch.optim.Adam(weights.values(), lr=1e-3)
    targets = bind_inputs(job.data, session.inputs("train"), job.data.batch)
    ours, theirs = [], []
    for step in range(1, steps + 1):
        at = job.data.position(step - 1)
        job.data.read(at.epoch, at.index, targets)
        image = torch.from_numpy(session.inputs("train")["image"].copy())
        ours.append(float(session.run("train", seed=1, step=step)["loss"]))
        loss = torch_loss(weights, image)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        theirs.append(float(loss.detach()))
        if step % EVERY == 0:
            a, b = np.mean(ours[-EVERY:]), np.mean(theirs[-EVERY:])
            print(f"steps {step - EVERY + 1}-{step}: flowc {a:.2f}, torch {b:.2f}, "
                  f"{abs(a - b) / b:.2%} apart", flush=True)


if __name__ == "__main__":
    main()
