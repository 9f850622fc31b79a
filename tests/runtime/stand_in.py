"""A task whose body counts instead of computing: what a control plane can be tested with.

`w` begins as the coordinator says; step k adds k to all of it. There are no peers to wait for.
`python stand_in.py worker --listen ADDRESS` serves as `flowc worker` does.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from flowc_runtime.cluster.exchange import Aborted
from flowc_runtime.cluster.messages import (
    Collect,
    Configure,
    Configured,
    Done,
    Failed,
    Load,
    Loaded,
    Ready,
    Run,
    Setup,
    Share,
    Values,
)
from flowc_runtime.cluster.plan import ClusterPlan, Part, Sync
from flowc_runtime.cluster.task import Task
from flowc_runtime.plan import Buffer, Instruction, Plan, Program, Variable
from flowc_runtime.types import parse_type

SIZE = 1000
STEP_SECONDS = 0.002
PIECE_BYTES = 1024


class NoExchange:
    """Two of them are never connected."""

    def __init__(self, address: str):
        self.address = address
        self.token = "token"
        self.closed = False

    def close(self) -> None:
        self.closed = True


class Counting:
    """Fails as a task would at the step that `Setup.data` names: `{"fail": 7}`."""

    def __init__(self, exchange: Any):
        self.exchange = exchange
        self.w = np.zeros(SIZE, np.float32)
        self.step = -1
        self.generation = 0
        self.mine = (0, 0)
        self.doing = "waiting for a plan"
        self.interrupted = threading.Event()

    @property
    def progress(self) -> tuple[int, str]:
        return self.step, self.doing

    def setup(self, command: Setup, me: str) -> Ready:
        self.me, self.data = me, command.data
        return Ready(self.w.nbytes, 100, "same data")

    def configure(self, command: Configure) -> Configured:
        self.interrupted.clear()
        self.generation = command.generation
        self.mine = next((m.start, m.stop) for m in command.members if m.task == self.me)
        return Configured(command.generation, self.step)

    def load(self, command: Load) -> Loaded | None:
        self.step = -1
        flat = self.w.view(np.uint8)
        flat[command.offset : command.offset + len(command.data)] = np.frombuffer(
            command.data, np.uint8)
        if not command.last:
            return None
        self.step = command.step
        return Loaded(command.generation, command.step)

    def run(self, command: Run) -> Done | Failed:
        if self.step != command.after:
            raise ValueError(f"stands at {self.step}, not at {command.after}")
        self.doing = "counting"
        while self.step < command.until:
            if self.interrupted.wait(STEP_SECONDS):
                raise Aborted
            if self.data == f"fail {self.step + 1}":
                return Failed(self.generation, self.step, "not-finite", "the end", "", "log",
                              "m.flow:1:2", "layer", "")  # fmt: skip
            self.w += self.step + 1
            self.step += 1
        loss = float(np.float32(self.step) * (self.mine[1] - self.mine[0]))
        shares = (Share(*self.mine, (("loss", loss),)),)
        return Done(self.generation, self.step, shares, (), STEP_SECONDS, 0.0, "")

    def collect(self, command: Collect) -> Iterator[Values]:
        flat = self.w.view(np.uint8)
        for offset in range(0, flat.size, PIECE_BYTES):
            piece = flat[offset : offset + PIECE_BYTES].tobytes()
            last = offset + PIECE_BYTES >= flat.size
            yield Values(command.generation, self.step, "w", offset, piece, last)

    def interrupt(self) -> None:
        self.interrupted.set()

    def close(self) -> None:
        self.interrupted.set()


def counting_plan(workers: int, shards: int = 4) -> ClusterPlan:
    """Workers that each own `w`, and take a shard or more of a batch."""
    type_ = parse_type(f"f32[{SIZE}]")
    w = (Buffer("variables", 0, type_),)
    adding = Instruction("add", (0, 0), (0,), {})
    programs = {
        "gradient": Program("gradient", {}, w, (), (), (), 0, 0),
        "update": Program("update", {}, w, (), (), (adding,), 0, 0),
    }
    plan = Plan("counting", "", (Variable("w", "param", type_, 0),), type_.bytes, (), 0, programs)
    part = Part("worker", workers, plan)
    return ClusterPlan("counting", "", Sync("all_reduce"), shards, shards, (part,), ())


def after(step: int) -> float:
    """What all of `w` is after a step, from 0 on."""
    return float(step * (step + 1) // 2)


def serve(listen: str, **settings: Any) -> Task:
    return Task(listen, Counting, lambda address: (NoExchange(address), None), **settings)


def end_with_input(task: Task) -> None:
    sys.stdin.buffer.read()
    task.stop("whoever started it is gone")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("worker")
    parser.add_argument("--listen")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--until-eof", action="store_true")
    arguments = parser.parse_args()
    task = serve(arguments.listen)
    if arguments.until_eof:
        threading.Thread(target=end_with_input, args=(task,), daemon=True).start()
    print(f"flowc worker listens at {task.address}", flush=True)
    status, _ = task.serve(arguments.keep)
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    sys.exit(main())
