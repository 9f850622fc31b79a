"""Two single-thread workers against one, the batch of a worker held constant.

    python benchmarks/scaling.py                          flowc alone
    python benchmarks/scaling.py --torch-python PYTHON    beside PyTorch's DDP over gloo

A round measures one worker and two, of flowc and then of PyTorch (PYTHON is an interpreter that
has torch); what counts is the efficiency within a round: steps a second of two over those of one.
Medians and quartiles over the rounds are printed. On a machine with two cores both workers and
whoever starts them share them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from flowc.cluster import local
from flowc.diagnostic import Sink
from flowc.distributed import over, parse_sync
from flowc.jobs import Setup, prepare_training
from flowc.syntax.read import read_source
from flowc_runtime.checkpoint.manifest import Position
from flowc_runtime.training import Engine

MODELS = Path(__file__).parent.parent / "models"
BATCHES = {"fashion_mlp": 128, "lenet": 64}
SECONDS = 2.0  # of one measurement


class Steps:
    """An engine under measurement: steps a second, without a log or validations."""

    def __init__(self, engine: Engine, batches_per_epoch: int):
        self._engine = engine
        self._batches = batches_per_epoch
        self._position = Position()
        engine.begin(self._position)
        self.per_second(0.5)

    def per_second(self, seconds: float) -> float:
        first, began = self._position.step, time.perf_counter()
        while (spent := time.perf_counter() - began) < seconds:
            done = self._engine.advance(self._position, self._position.step + 10**6)
            step = self._position.step + done.steps
            self._position = Position(step, *divmod(step, self._batches))
        return (self._position.step - first) / spent


def flowc_steps(stack: ExitStack, model: str, workers: int, sync: str) -> Steps:
    """One worker in this process, or some that are child processes."""
    sink = Sink()
    source = read_source(MODELS / f"{model}.flow", sink)
    assert source is not None
    defines = {"train.batch": str(BATCHES[model] * workers)}
    ps = 0 if sync == "all_reduce" else 1
    runs = over(local(workers, ps), parse_sync(sync)) if workers > 1 else None
    job = prepare_training(source, sink, Setup(defines, 1, runs=runs))
    engine = stack.enter_context(job.planned.open_engine(job, None, print))
    return Steps(engine, job.data.batches_per_epoch)


TORCH = """
import json, os, sys, time
rank, world, path, model, batch, seconds = sys.argv[1:]
rank, world, batch, seconds = int(rank), int(world), int(batch), float(seconds)
import torch, torch.nn as nn, torch.nn.functional as F, torch.distributed as dist
torch.set_num_threads(1)
if world > 1:
    dist.init_process_group("gloo", init_method="file://" + path, rank=rank, world_size=world)
if model == "fashion_mlp":
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
else:
    net = nn.Sequential(
        nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(20, 50, 5), nn.MaxPool2d(2),
        nn.ReLU(), nn.Flatten(), nn.Linear(800, 500), nn.ReLU(), nn.Dropout(0.25),
        nn.Linear(500, 10))
    optimizer = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9, fused=True)
if world > 1:
    net = nn.parallel.DistributedDataParallel(net)
images = torch.randint(0, 256, (12000, 1, 28, 28), dtype=torch.uint8)
labels = torch.randint(0, 10, (12000,))
def step():
    chosen = torch.randint(0, 12000, (batch,))
    optimizer.zero_grad()
    loss = F.cross_entropy(net(images[chosen].float() / 255), labels[chosen])
    loss.backward()
    optimizer.step()
for _ in range(10):
    step()
began = time.perf_counter()
for _ in range(10):
    step()
count = torch.tensor([max(1.0, seconds * 10 / (time.perf_counter() - began))])
if world > 1:
    dist.all_reduce(count, op=dist.ReduceOp.MIN)
    dist.barrier()
began = time.perf_counter()
for _ in range(int(count)):
    step()
if world > 1:
    dist.barrier()
print(json.dumps(int(count) / (time.perf_counter() - began)), flush=True)
os._exit(0)
"""


def torch_steps(python: str, model: str, workers: int) -> float:
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        given = [f"{folder}/meet", model, str(BATCHES[model]), str(SECONDS)]
        processes = [
            subprocess.Popen(
                [python, "-c", TORCH, str(rank), str(workers), *given],
                stdout=subprocess.PIPE, text=True, env=environment)
            for rank in range(workers)
        ]
        outputs = [process.communicate()[0] for process in processes]
    return float(json.loads(outputs[0].splitlines()[-1]))


def measure(model: str, rounds: int, sync: str, torch_python: str | None) -> None:
    with ExitStack() as stack:
        one = flowc_steps(stack, model, 1, sync)
        two = flowc_steps(stack, model, 2, sync)
        rates: dict[str, list[float]] = {}
        kinds: dict[str, Callable[[], float]] = {
            "flowc 1": lambda: one.per_second(SECONDS),
            "flowc 2": lambda: two.per_second(SECONDS),
        }
        if torch_python:
            kinds["torch 1"] = lambda: torch_steps(torch_python, model, 1)
            kinds["torch 2"] = lambda: torch_steps(torch_python, model, 2)
        for _ in range(rounds):
            for name, rate in kinds.items():
                rates.setdefault(name, []).append(rate())
    print(f"{model}, {BATCHES[model]} examples a worker, {sync}, {rounds} rounds")
    for name, values in rates.items():
        print(f"  {name}: {_spread(values, '.1f')} steps/s")
    for name in ("flowc", "torch")[: len(rates) // 2]:
        pairs = zip(rates[f"{name} 1"], rates[f"{name} 2"], strict=True)
        print(f"  efficiency of {name}: {_spread([b / a for a, b in pairs], '.2f')}")
    sys.stdout.flush()


def _spread(values: list[float], form: str) -> str:
    if len(values) < 2:
        return format(values[0], form)
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:{form}} (quartiles {low:{form}} to {high:{form}})"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--models", nargs="+", default=list(BATCHES), choices=list(BATCHES))
    parser.add_argument("--sync", default="all_reduce")
    parser.add_argument("--torch-python")
    given = parser.parse_args()
    for model in given.models:
        measure(model, given.rounds, given.sync, given.torch_python)


if __name__ == "__main__":
    main()
