"""A real little model in NumPy for the training loop: regression with momentum and noise."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowc_runtime.data.dataset import Arrays, Field
from flowc_runtime.data.stream import Stream
from flowc_runtime.device import NonFinite
from flowc_runtime.plan import Plan, Program, Variable
from flowc_runtime.types import parse_type

Array = np.ndarray
FEATURES = 3
BATCH = 4


def linear_plan(programs: Mapping[str, int]) -> Plan:
    """A plan with these programs (name and batch); the instructions are `LinearSteps`."""
    kinds = {"w": "param", "b": "param", "seen": "state", "w.m": "slot", "b.m": "slot"}
    types = {"w": "f32[3]", "b": "f32[]", "seen": "i64[]", "w.m": "f32[3]", "b.m": "f32[]"}
    return Plan(
        model="line",
        source_hash="",
        variables=tuple(
            Variable(path, kind, parse_type(types[path]), 0) for path, kind in kinds.items()
        ),
        variable_bytes=0,
        constants=(),
        constant_bytes=0,
        programs={
            name: Program(name, {"batch": batch}, (), (), (), (), 0, commit=0)
            for name, batch in programs.items()
        },
    )


class LinearSteps:
    """Mean squared error of `x @ w + b`; a step sees `x` through a dropout of (seed, step).

    The loss of the step number `spoilt_at` is not finite.
    """

    def __init__(self, plan: Plan, spoilt_at: int | None = None, lr: float = 0.05):
        self.variables: Mapping[str, Array] = {
            v.path: np.zeros(v.type.sizes, v.type.storage) for v in plan.variables
        }
        self.spoilt_at = spoilt_at
        self.ran: list[tuple[str, int]] = []
        self._lr = np.float32(lr)
        self._inputs = {
            name: {
                "x": np.zeros((program.sizes["batch"], FEATURES), np.float32),
                "y": np.zeros(program.sizes["batch"], np.float32),
            }
            for name, program in plan.programs.items()
        }

    def inputs(self, program: str) -> Mapping[str, Array]:
        return self._inputs[program]

    def run(self, program: str, *, seed: int, step: int) -> Mapping[str, Array]:
        self.ran.append((program, step))
        x, y = self._inputs[program]["x"], self._inputs[program]["y"]
        if program == "train":
            x = x * (np.random.default_rng((seed, step)).random(x.shape) < 0.8).astype(np.float32)
        error = x @ self.variables["w"] + self.variables["b"] - y
        loss = np.mean(error * error)
        if program == "train":
            if step == self.spoilt_at:
                raise NonFinite("log", "line.flow:3:9", "head", "its input is 0.0")
            self._update(x, error)
        near = np.mean((np.abs(error) < 0.5).astype(np.float32))
        return {"loss": np.array(loss), "metric.near": np.array(near)}

    def _update(self, x: Array, error: Array) -> None:
        scale = np.float32(2 / len(error))
        for path, gradient in (("w", error @ x * scale), ("b", error.sum() * scale)):
            momentum, value = self.variables[f"{path}.m"], self.variables[path]
            momentum[...] = np.float32(0.9) * momentum + gradient
            value[...] = value - self._lr * momentum
        self.variables["seen"][...] += len(error)


def linear_data(examples: int, seed: int, shuffle: bool = True) -> Stream:
    """Points on a plane; in training the last examples that fill no batch are dropped."""
    random = np.random.default_rng(1)
    x = random.normal(size=(examples, FEATURES)).astype(np.float32)
    y = (x @ np.array([1, -2, 0.5]) + 0.25).astype(np.float32)
    fields = (Field("x", "f32", (FEATURES,)), Field("y", "f32", ()))
    data = Arrays("points", fields, (x, y))
    return Stream(data, BATCH, seed, shuffle, "drop" if shuffle else "keep")
