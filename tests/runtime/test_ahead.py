"""Weights for workers whose gradients come late."""

from __future__ import annotations

import numpy as np

from flowc_runtime.cluster.plan import Channel, Packed
from flowc_runtime.cluster.work.ahead import Ahead
from flowc_runtime.cluster.work.packing import Packing
from flowc_runtime.memory import aligned_zeros
from flowc_runtime.types import TensorType

CHANNEL = Channel(
    "v", "variables", "ps:0", "worker",
    (
        Packed("w[0:2]", TensorType("f32", (2,)), 0),
        Packed("seen", TensorType("f32", (2,)), 64),
        Packed("count", TensorType("i32", (1,)), 128),
    ),
    192,
)  # fmt: skip


def given(ahead: Ahead, packing: Packing, steps: int) -> list[list[float]]:
    slot = aligned_zeros(CHANNEL.bytes)
    ahead.give(slot, steps)
    return [view.tolist() for view in packing.views(slot)]


def test_parameters_go_on_as_they_went_and_state_stays() -> None:
    packing = Packing(CHANNEL)
    now = {
        "w": np.float32([1, 2, 9]), "seen": np.float32([5, 5]), "count": np.int32([7]),
    }  # fmt: skip
    ahead = Ahead(packing, now, {"w", "count"})
    assert given(ahead, packing, 3) == [[1, 2], [5, 5], [7]]
    ahead.remember()
    now["w"] += np.float32([1, -2, 0])
    now["seen"] += 1
    now["count"] += 1
    assert given(ahead, packing, 0) == [[2, 0], [6, 6], [8]]
    assert given(ahead, packing, 3) == [[5, -6], [6, 6], [8]]


def late_descent(steps_ahead: int) -> float:
    """How far 300 steps of momentum get on a parabola, from 1, with each gradient a step late."""
    packing = Packing(CHANNEL)
    now = {"w": np.ones(3, np.float32), "seen": np.zeros(2, np.float32),
           "count": np.zeros(1, np.int32)}
    ahead = Ahead(packing, now, {"w"})
    reached = []
    velocity, handed = np.float32(0), [1.0, 1.0]  # the weights that two workers have
    for _ in range(300):
        velocity = np.float32(0.9 * velocity - 0.15 * handed.pop(0))
        ahead.remember()
        now["w"] += velocity
        handed.append(given(ahead, packing, steps_ahead)[0][0])
        reached.append(abs(float(now["w"][0])))
    return max(reached[-20:])


def test_what_diverges_when_gradients_are_late_converges() -> None:
    assert late_descent(0) > 1e3
    assert late_descent(1) < 1e-3
