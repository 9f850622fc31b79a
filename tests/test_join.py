"""Updates of many variables in one kernel: the same values, in fewer instructions."""

from __future__ import annotations

import numpy as np
from texts import open_session, plan_text, step, trained

MODEL = """model m {
  input x: f32[batch, 5]
  input y: i32[batch]
  loss = mean(cross_entropy(x |> dense(7) |> layer_norm |> dense(3), y))
}"""


def test_an_optimizer_becomes_one_kernel_over_all_parameters() -> None:
    plan = plan_text(trained(MODEL, inputs="x, y", optimizer="adam(lr = 0.1)"))
    train = plan.programs["train"]
    assert len(train.instructions) - train.commit == 1


def test_a_clipped_or_schedule_driven_update_is_joined_too() -> None:
    text = trained(MODEL, inputs="x, y", rest="clip_norm = 1.0",
                   optimizer="sgd(lr = cosine(peak = 0.1, steps = 9), momentum = 0.9)")
    train = plan_text(text).programs["train"]
    assert len(train.instructions) - train.commit <= 2


def test_joined_updates_equal_those_of_single_parameters() -> None:
    """The same model with every parameter but one frozen gives that one's own update."""
    rng = np.random.default_rng(4)
    data = {"x": rng.normal(size=(2, 5)), "y": rng.integers(0, 3, 2)}
    together = open_session(trained(MODEL, inputs="x, y", optimizer="adam(lr = 0.1)"))
    paths = [p for p in together.variables if ":" not in p]
    step(together, data)
    for path in paths:
        rest = f'freeze = "**" except "{path}"'
        alone = open_session(
            trained(MODEL, inputs="x, y", optimizer="adam(lr = 0.1)", rest=rest))
        step(alone, data)
        np.testing.assert_array_equal(alone.variables[path], together.variables[path])


def test_a_parameter_that_is_also_an_output_of_the_step_keeps_its_own_kernel_right() -> None:
    text = trained(
        """model m {
          input x: f32[batch]
          param a: f32[3] = ones
          param b: f32[3] = ones
          next_a = a * 2
          loss = sum(next_a) * mean(x) + sum(b * b)
          metric first = sum(a)
        }""", inputs="x", optimizer="sgd(lr = 0.5)")
    session = open_session(text)
    out = step(session, {"x": np.ones(2)})
    assert float(out["metric.first"]) == 3
    np.testing.assert_array_equal(session.variables["a"], np.zeros(3))
    np.testing.assert_array_equal(session.variables["b"], np.zeros(3))
