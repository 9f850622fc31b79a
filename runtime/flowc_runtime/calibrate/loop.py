"""What a training costs besides its kernels: reading examples, and the loop around a step."""

from __future__ import annotations

import statistics
import time

import numpy as np

from flowc_runtime.data.dataset import Arrays, Field
from flowc_runtime.data.stream import Stream
from flowc_runtime.events import Event
from flowc_runtime.executor import Session
from flowc_runtime.plan import Buffer, Plan, Port, Program
from flowc_runtime.training import StopSignal, TrainOptions, WholeBatch, train
from flowc_runtime.types import TensorType

STEPS = 2_000
SAMPLES = 7
EXAMPLES = 4_096
READ_BYTES = (4, 1_024, 4_096)  # of an example
BATCH = 64


def reading_seconds() -> list[tuple[int, float]]:
    """Bytes of a shuffled batch in memory, and what it takes to read one."""
    found = [(4, _reading(1, 1))]
    return found + [(BATCH * size, _reading(size // 4, BATCH)) for size in READ_BYTES]


def loop_seconds() -> float:
    """What the training loop adds to a step whose program has nothing to do."""
    taken = statistics.median(_loop() for _ in range(SAMPLES))
    return max(0.0, taken - _reading(1, 1) - _idle_run())


def _reading(floats: int, batch: int) -> float:
    stream = _stream(floats, batch)
    out = [np.empty((batch, floats), np.float32)]
    begun, count = time.perf_counter(), min(256, stream.batches_per_epoch)
    for index in range(count):
        stream.read(0, index, out)
    return (time.perf_counter() - begun) / count


def _stream(floats: int, batch: int) -> Stream:
    values = np.ones((EXAMPLES, floats), np.float32)
    data = Arrays("calibration", (Field("x", "f32", (floats,)),), [values])
    stream = Stream(data, batch, 1, shuffle=True)
    stream.indices(0, 0)  # makes the order of the epoch
    return stream


def _loop() -> float:
    plan = _idle_plan()
    session, stream = Session(plan, None), _stream(1, 1)
    engine = WholeBatch(session, stream, 1)
    options = TrainOptions(STEPS, 1, STEPS, STEPS, STEPS)
    begun = time.perf_counter()
    train(plan, session, engine, stream, None, options, None, _ignore, StopSignal())
    return (time.perf_counter() - begun) / STEPS


def _idle_run() -> float:
    """What a run of that program takes: it counts to the program of a model."""
    session = Session(_idle_plan(), None)
    begun = time.perf_counter()
    for step in range(STEPS):
        session.run("train", seed=1, step=step)
    return (time.perf_counter() - begun) / STEPS


def _idle_plan() -> Plan:
    """A step that reads an example and leaves the loss at 0."""
    x, loss = TensorType("f32", (1, 1)), TensorType("f32")
    buffers = (Buffer("arena", 0, x), Buffer("arena", 64, loss))
    program = Program(
        "train", {"batch": 1}, buffers, (Port("x", 0),), (Port("loss", 1),), (), 128, 0)
    return Plan("calibration", "", (), 0, (), 0, {"train": program})


def _ignore(event: Event) -> None:
    return None
