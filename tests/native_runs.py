"""Running a graph with machine code: alone, shared by threads, and piece by piece."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
from programs import Arrays, execute, fused, outputs_of, plan_of

from flowc.graph.builder import Builder
from flowc.graph.graph import Graph, Output
from flowc_runtime.executor import Session
from flowc_runtime.native import NativeDevice, shares
from flowc_runtime.native.device import NativeCall
from flowc_runtime.types import parse_type

THREADS = (1, 2, 3)
Way = Callable[[Graph, Arrays], dict[str, np.ndarray]]  # one of those below

_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)


def share_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has threads share what is not worth it, too."""
    monkeypatch.setattr(shares, "WORTH_NANOSECONDS", 0)
    monkeypatch.setattr(shares, "LEAST_NANOSECONDS", 0)


def assert_same_bits(found: Arrays, wanted: Arrays) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert found[name].tobytes() == value.tobytes(), name


def some_steps() -> tuple[Graph, Arrays]:
    """A product, a kernel of rows, a sum over rows, and a lookup that may be refused."""
    b = Builder()
    x, w, i = (b.input(n, parse_type(t)) for n, t in (
        ("x", "f32[96, 80]"), ("w", "f32[80, 70]"), ("i", "i32[5]")))
    lines = ("t0 = exp(i0)", "t1 = row_sum(t0)", "o0 = div(t0, t1)")
    (rows,) = fused(b, lines, b("matmul", x, w), shape=(96, 70))
    found = b("gather", rows, i)
    total = b("reduce_sum", rows, axes=(0,), keep=False)
    graph = b.finish([Output("found", found.ref), Output("total", total.ref)])
    rng = np.random.default_rng(1)
    sides = {"x": rng.normal(size=(96, 80)), "w": rng.normal(size=(80, 70))}
    return graph, {**{n: a.astype(np.float32) for n, a in sides.items()},
                   "i": np.arange(5, dtype=np.int32)}


def run_on(threads: int, graph: Graph, inputs: Arrays) -> dict[str, np.ndarray]:
    return outputs_of(Session(plan_of(graph, "step"), threads, NativeDevice()), graph, inputs, {})


def natively(graph: Graph, inputs: Arrays) -> dict[str, np.ndarray]:
    """The outputs by name: the same bits whatever number of threads, and whatever order."""
    plan, device = plan_of(graph, "step"), NativeDevice()
    alone: dict[str, np.ndarray] = {}
    for threads in THREADS:
        session = Session(plan, threads, device)
        for _ in range(2):  # once more in memory that is no longer zero
            found = outputs_of(session, graph, inputs, {})
            alone = alone or found
            assert_same_bits(found, alone)
    backwards = Session(plan, 1, device)
    for name, view in backwards.inputs("step").items():
        view[...] = inputs[name]
    with np.errstate(all="ignore"):
        last_piece_first(backwards)
    for name, view in backwards.bind("step").outputs.items():
        assert view.tobytes() == alone[name].tobytes(), name
    return alone


def by_numpy(graph: Graph, inputs: Arrays) -> dict[str, np.ndarray]:
    return execute(graph, inputs, {})


def last_piece_first(session: Session) -> None:
    """All instructions, those of machine code piece by piece."""
    bound = session.bind("step")
    for number, calls in enumerate(bound.run._calls):
        if not all(isinstance(call, NativeCall) for call in calls):
            bound.run(number, number + 1)
            continue
        for step in (step for call in calls for step in call.steps):
            for piece in reversed(range(step.pieces)):
                _FUNCTION(step.function)(step.places, piece, piece + 1)
