"""The body of a task: what it says of itself while it works, and while it is being loaded."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from flowc.diagnostic import Sink
from flowc.driver import Options, check, cluster_plan_of
from flowc.place.strategy import Strategy
from flowc.source import Source
from flowc_runtime.backend import BackendError
from flowc_runtime.cluster.exchange import Aborted
from flowc_runtime.cluster.messages import Configure, Load, Member, Run, Setup
from flowc_runtime.cluster.plan import ClusterPlan, Sync
from flowc_runtime.cluster.planfile import write_cluster_plan
from flowc_runtime.cluster.transport.exchange import TensorExchange
from flowc_runtime.cluster.work.body import Body

TEXT = """
model m {
  input x: f32[batch, 6]
  input y: f32[batch, 2]
  loss = mean(mse(dense(x, 2), y))
}
data d = npz("d.npz") -> (x, y)
train {
  data = d
  batch = 8
  optimizer = sgd(lr = 1e-3)
}
"""
SECONDS = 20.0


@cache
def plan() -> ClusterPlan:
    sink = Sink()
    checked = check(Source("m.flow", TEXT), sink)
    strategy = Strategy(Sync("sync"), 1, 1, 2)
    return cluster_plan_of(checked, sink, Options(), lambda *_: None, strategy)[1]


@pytest.fixture
def ps(tmp_path: Path) -> Iterator[Body]:
    """A ps that was told its plan, and whose worker does not exist."""
    exchange = TensorExchange("127.0.0.1:1")
    body = Body(exchange, tmp_path)
    body.setup(Setup(write_cluster_plan(plan()), "{}", 1, 1, "numpy"), "ps:0")
    try:
        yield body
    finally:
        body.close()


def configured(ps: Body, generation: int) -> int:
    members = (Member("ps:0", "127.0.0.1:1", "", 0, 0), Member("worker:0", "127.0.0.1:1", "", 0, 2))
    return ps.configure(Configure(generation, members)).step


def pieces(step: int, generation: int = 1) -> list[Load]:
    """All of the ps's variables, in two pieces each."""
    sizes = {v.path: v.type.bytes for v in plan().part("ps:0").plan.variables}
    wanted = [(path, size // 2 * k, bytes(size // 2)) for path, size in sizes.items()
              for k in range(2)]
    return [
        Load(generation, step, path, offset, data, number == len(wanted) - 1)
        for number, (path, offset, data) in enumerate(wanted)
    ]


def test_variables_that_are_half_loaded_are_those_of_no_step(ps: Body) -> None:
    configured(ps, 1)
    for load in pieces(step=7):
        ps.load(load)
    assert configured(ps, 2) == 7
    ps.load(pieces(step=9, generation=2)[0])
    assert ps.progress[0] == -1
    assert configured(ps, 3) == -1


def test_a_task_that_waits_says_for_whom(ps: Body) -> None:
    configured(ps, 1)
    for load in pieces(step=0):
        ps.load(load)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            ps.run(Run(1, 0, 3))
        except Aborted as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    until = time.monotonic() + SECONDS
    while not ps.progress[1].startswith("waiting for") and time.monotonic() < until:
        np.zeros(1000).sum()
    said = ps.progress
    ps.interrupt()
    thread.join(SECONDS)
    assert said == (0, "waiting for worker:0")
    assert ended


def test_a_backend_that_is_not_there_is_named(tmp_path: Path) -> None:
    body = Body(TensorExchange("127.0.0.1:1"), tmp_path)
    try:
        with pytest.raises(BackendError, match="no backend `cuda` here, only numpy, native"):
            body.setup(Setup(write_cluster_plan(plan()), "{}", 1, 1, "cuda"), "ps:0")
    finally:
        body.close()
