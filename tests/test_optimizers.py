"""The library's optimisers against their formulas, written down in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from texts import open_session, step, trained

Gradient = np.ndarray
MODEL = """model m {
  input x: f64[batch, 3]
  param w: f64[3] = ones
  loss = sum(mean(square(x * w), over = 0))
}"""


def sgd(w: np.ndarray) -> Iterator[np.ndarray]:
    velocity = np.zeros_like(w)
    while True:
        g = yield w
        g = g + 0.01 * w
        velocity = 0.9 * velocity + g
        w = w - 0.1 * (g + 0.9 * velocity)


def adam(w: np.ndarray, decay: float = 0.0) -> Iterator[np.ndarray]:
    m = v = np.zeros_like(w)
    t = 0
    while True:
        g = yield w
        t += 1
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g * g
        move = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        w = w - 0.1 * (move + decay * w)


def rmsprop(w: np.ndarray) -> Iterator[np.ndarray]:
    squares = velocity = np.zeros_like(w)
    while True:
        g = yield w
        squares = 0.9 * squares + 0.1 * g * g
        velocity = 0.5 * velocity + g / (np.sqrt(squares) + 1e-8)
        w = w - 0.1 * velocity


def adagrad(w: np.ndarray) -> Iterator[np.ndarray]:
    squares = np.zeros_like(w)
    while True:
        g = yield w
        squares = squares + g * g
        w = w - 0.1 * g / (np.sqrt(squares) + 1e-10)


CASES: dict[str, Callable[[np.ndarray], Iterator[np.ndarray]]] = {
    "sgd(lr = 0.1, momentum = 0.9, nesterov = true, weight_decay = 0.01)": sgd,
    "adam(lr = 0.1)": adam,
    "adamw(lr = 0.1, weight_decay = 0.2)": lambda w: adam(w, 0.2),
    "rmsprop(lr = 0.1, momentum = 0.5)": rmsprop,
    "adagrad(lr = 0.1)": adagrad,
}


@pytest.mark.parametrize("optimizer", CASES)
def test_an_optimizer_follows_its_formula(optimizer: str) -> None:
    session = open_session(trained(MODEL, inputs="x", optimizer=optimizer))
    rng = np.random.default_rng(2)
    expected = CASES[optimizer](np.ones(3))
    w = next(expected)
    for number in range(1, 8):
        x = rng.normal(size=(2, 3))
        step(session, {"x": x}, number)
        w = expected.send(2 * w * (x * x).mean(0))
        np.testing.assert_allclose(session.variables["w"], w, rtol=1e-9)


SCHEDULES = {
    "constant_rate(0.5)": lambda t: 0.5,
    "step_decay(0.5, every = 2)": lambda t: 0.5 * 0.1 ** ((t - 1) // 2),
    "exponential(0.5, every = 2)": lambda t: 0.5 * 0.5 ** ((t - 1) / 2),
    "cosine(peak = 0.5, steps = 4)": lambda t: 0.25 * (1 + np.cos(np.pi * min(t / 4, 1))),
    "warmup(0.5, warmup = 3)": lambda t: 0.5 * min(t / 3, 1),
    "warmup_cosine(peak = 0.5, warmup = 2, steps = 4)": lambda t: 0.5 * (
        t / 2 if t < 2 else 0.5 * (1 + np.cos(np.pi * min((t - 2) / 2, 1)))),
}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_is_its_function_of_the_step(schedule: str) -> None:
    text = trained(
        "model m {\ninput x: f32[batch]\nparam w: f32[] = 1\nloss = mean(x * w)\n}",
        inputs="x", optimizer=f"sgd(lr = {schedule})")
    session = open_session(text)
    for number in range(1, 7):
        before = float(session.variables["w"])
        step(session, {"x": np.ones(2)}, number)
        moved = before - float(session.variables["w"])
        assert moved == pytest.approx(SCHEDULES[schedule](number), abs=1e-6)


def test_clipping_by_norm_scales_all_gradients_together() -> None:
    text = trained(
        """model m {
          input x: f32[batch]
          param a: f32[] = 0
          param b: f32[] = 0
          loss = mean(3 * a * x + 4 * b * x)
        }""", inputs="x", rest="clip_norm = 1.0")
    session = open_session(text)
    step(session, {"x": np.ones(2)})
    moved = [-float(session.variables[name]) for name in "ab"]
    np.testing.assert_allclose(moved, [0.6, 0.8], rtol=1e-6)


def test_clipping_by_value_bounds_each_element() -> None:
    text = trained(
        "model m {\ninput x: f32[batch]\nparam a: f32[] = 0\nloss = mean(3 * a * x)\n}",
        inputs="x", rest="clip_value = 0.5")
    session = open_session(text)
    step(session, {"x": np.ones(2)})
    assert float(session.variables["a"]) == -0.5
