"""What the language means: names, dimensions, blocks, loops, states, settings."""

from __future__ import annotations

import numpy as np
import pytest
from texts import check_text, complaints, open_session, step, trained

from flowc_runtime.device import ExecutionError


def model(body: str) -> str:
    return f"model m {{\n{body}\n}}\n"


def variables(body: str) -> dict[str, str]:
    checked = check_text(model(body))
    return {path: str(v.tensor.type) for path, v in checked.train.variables.items()}


def outputs(body: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
    batch = len(next(iter(inputs.values()))) if inputs else 1
    text = trained(model(body + "\nparam unused_w: f32[] = 1\nloss = unused_w * 1.0"),
                   inputs=", ".join(inputs) or "x", batch=batch)
    session = open_session(text)
    return step(session, inputs, program="predict")


def compute(expression: str) -> float:
    """The value of an expression over numbers."""
    text = f"input x: f32[batch]\noutput y = x * 0.0 + ({expression})"
    return float(outputs(text, x=np.zeros(1, np.float32))["output.y"][0])


# --- expressions ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2 + 3 * 4", 14), ("-2 ^ 2", -4), ("2 ^ 3 ^ 2", 512), ("7 // 2", 3), ("7 % 4", 3),
        ("6 / 3", 2), ("1.0 / 4", 0.25), ("10 - 2 - 3", 5), ("max(2, 5)", 5), ("sqrt(9)", 3),
        ("product([2, 3, 4])", 24), ("shape(x)[0] * 0 + 5", 5), ("2 ^ -1", 0.5),
    ],
)
def test_arithmetic_on_numbers_follows_the_usual_precedence(expression: str, value: float) -> None:
    assert compute(expression) == pytest.approx(value)


def test_a_pipe_passes_its_left_side_as_the_first_argument() -> None:
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    out = outputs("input x: f32[batch, 3]\noutput y = x |> sum(over = -1) |> sqrt", x=x)
    np.testing.assert_allclose(out["output.y"], np.sqrt(x.sum(-1)))


def test_slices_and_indices_mean_what_they_mean_in_numpy() -> None:
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    out = outputs(
        "input x: f32[batch, 3, 4]\noutput a = x[:, -1]\noutput b = x[:, ::-1, 1:3]\n"
        "output c = x[:, 0:2, ::2]", x=x)
    np.testing.assert_array_equal(out["output.a"], x[:, -1])
    np.testing.assert_array_equal(out["output.b"], x[:, ::-1, 1:3])
    np.testing.assert_array_equal(out["output.c"], x[:, 0:2, ::2])


def test_a_vector_on_either_side_of_at_is_a_row_or_a_column() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    out = outputs(
        "input x: f32[batch, 3]\nv = x[:, 0] * 0.0 + 2\noutput a = x @ fill([3], 2)\n"
        "output b = v @ x", x=x)
    np.testing.assert_array_equal(out["output.a"], x @ np.full(3, 2, np.float32))
    np.testing.assert_array_equal(out["output.b"], np.full(2, 2, np.float32) @ x)


def test_integer_tensors_do_not_meet_fractions_without_a_cast() -> None:
    assert complaints(model("input x: u8[batch]\noutput y = x * 0.5")) == ["dtype-mismatch"]


# --- names and paths --------------------------------------------------------------------------


def test_a_parameter_is_named_by_the_bindings_and_blocks_above_it() -> None:
    assert variables(
        "input x: f32[batch, 4]\nh = x |> dense(3) |> relu |> dense(2)\noutput y = h"
    ) == {
        "h.dense.weight": "f32[4, 3]", "h.dense.bias": "f32[3]",
        "h.weight": "f32[3, 2]", "h.bias": "f32[2]",
    }  # fmt: skip


def test_an_edit_elsewhere_keeps_the_paths() -> None:
    before = variables("input x: f32[batch, 4]\na = dense(x, 3)\noutput y = dense(a, 2)")
    after = variables(
        "input x: f32[batch, 4]\nz = dense(x, 4)\na = dense(z, 3)\noutput y = dense(a, 2)")
    assert set(before) < set(after)


def test_repeat_numbers_its_rounds_in_the_path() -> None:
    body = "input x: f32[batch, 4]\nrepeat 2 as tier {\nx = dense(x, 4)\n}\noutput y = x"
    paths = variables(body)
    assert [p for p in paths if p.endswith("weight")] == ["tier.0.x.weight", "tier.1.x.weight"]


def test_a_layer_applied_twice_has_one_set_of_parameters() -> None:
    body = "input x: f32[batch, 4]\nlayer f = dense(4)\noutput y = f(f(x))"
    assert list(variables(body)) == ["f.weight", "f.bias"]


def test_a_layer_cannot_be_applied_to_two_widths() -> None:
    body = "input x: f32[batch, 4]\nlayer f = dense(3)\noutput y = f(f(x))"
    assert complaints(model(body)) == ["shape-mismatch"]


# --- loops, branches, functions ---------------------------------------------------------------


def test_rebinding_in_repeat_carries_an_outer_name_round() -> None:
    x = np.ones((1,), np.float32)
    out = outputs("input x: f32[batch]\nrepeat 3 as i {\nx = x + i\n}\noutput y = x", x=x)
    assert out["output.y"][0] == 1 + 0 + 1 + 2


def test_a_name_bound_only_inside_repeat_is_not_seen_outside() -> None:
    body = "input x: f32[batch]\nrepeat 1 {\nz = x\n}\noutput y = z"
    assert "unknown-name" in complaints(model(body))


def test_if_chooses_while_compiling_and_binds_around_itself() -> None:
    x = np.ones((1,), np.float32)
    body = "input x: f32[batch]\nif 2 > 1 {\na = x * 2\n} else {\na = x * 3\n}\noutput y = a"
    assert outputs(body, x=x)["output.y"][0] == 2


def test_if_on_a_tensor_is_refused_with_where_as_the_way_out() -> None:
    assert complaints(model("input x: f32[batch]\nif x > 0 {\n}\noutput y = x")) == [
        "runtime-condition"]


def test_a_local_function_is_inlined_with_the_names_around_it() -> None:
    x = np.ones((2,), np.float32)
    body = "input x: f32[batch]\nk = 3\nf(t) = t * k\noutput y = f(f(x))"
    np.testing.assert_array_equal(outputs(body, x=x)["output.y"], [9, 9])


def test_a_scan_yields_in_the_place_of_the_walked_dimension() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    body = (
        "input x: f32[batch, time = 3]\ny = scan x over time as xt carry (s = fill([batch], 0)) {\n"
        "s = s + xt\nyield s\n}\noutput y = y")
    np.testing.assert_array_equal(outputs(body, x=x)["output.y"], np.cumsum(x, 1))


def test_a_reversed_scan_walks_backwards_and_keeps_places() -> None:
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    body = (
        "input x: f32[batch, time = 3]\n"
        "y = scan x over time reversed as xt carry (s = fill([batch], 0)) {\n"
        "s = s + xt\nyield s\n}\noutput y = y")
    np.testing.assert_array_equal(
        outputs(body, x=x)["output.y"], np.cumsum(x[:, ::-1], 1)[:, ::-1])


def test_random_numbers_inside_a_scan_differ_from_round_to_round() -> None:
    x = np.zeros((1, 4), np.float32)
    body = (
        "input x: f32[batch, time = 4]\n"
        "y = scan x over time as xt {\nyield xt + random_uniform([1])\n}\noutput y = y")
    assert len(np.unique(outputs(body, x=x)["output.y"])) == 4


# --- dimensions and blocks --------------------------------------------------------------------

BLOCK = "block f(x: t[..., n], k: int = 2) -> t[..., n * k] {\n  return concat([x, x])\n}\n"


def test_a_signature_binds_dimensions_and_dtypes_by_name() -> None:
    text = BLOCK + model("input x: f64[batch, 3]\noutput y = f(x)")
    out = check_text(text).evaluate.lowerer.results["output.y"].value
    assert str(out.type) == "f64[batch, 6]"


def test_a_result_that_breaks_its_promise_is_reported() -> None:
    text = BLOCK + model("input x: f64[batch, 3]\noutput y = f(x, k = 3)")
    assert complaints(text) == ["shape-mismatch"]


def test_a_division_of_dimensions_must_be_exact() -> None:
    assert complaints(model("input x: f32[batch, 7]\noutput y = fill([7 / 2], 1)")) == [
        "inexact-division", "unused-input"][:1]


def test_an_input_dimension_without_a_size_is_refused() -> None:
    assert complaints(model("input x: f32[batch, n]\noutput y = x")) == ["unbound-dimension"]


def test_the_batch_may_be_any_size_when_the_plan_is_made() -> None:
    text = model("input x: f32[batch, 3]\nparam w: f32[3]\nloss = mean(x * w)\noutput y = x * w")
    for batch in (1, 5):
        session = open_session(trained(text, inputs="x", batch=batch))
        out = step(session, {"x": np.ones((batch, 3))}, program="predict")
        assert out["output.y"].shape == (batch, 3)


# --- state, hyperparameters, settings ---------------------------------------------------------

COUNTER = """model m {
  input x: f32[batch]
  param w: f32[] = 1
  state seen: f32[] = 0
  next seen = seen + 1
  loss = mean(x * w) + seen
}
"""


def test_a_state_keeps_its_present_value_until_the_step_ends() -> None:
    session = open_session(trained(COUNTER, inputs="x", optimizer="sgd(lr = 0.0)"))
    losses = [float(step(session, {"x": np.zeros(2)})["loss"]) for _ in range(3)]
    assert losses == [0, 1, 2]


def test_evaluation_changes_no_state() -> None:
    session = open_session(trained(COUNTER, inputs="x"))
    step(session, {"x": np.zeros(2)}, program="evaluate")
    assert session.variables["seen"] == 0


def test_a_hyperparameter_is_set_from_outside_within_its_range() -> None:
    text = "hyper n: int = 2 in 1..4\n" + model("input x: f32[batch, n]\noutput y = x")
    assert str(check_text(text, n="3").inputs["x"]) == "f32[batch, 3]"
    assert complaints(text, n="9") == ["hyper-range"]
    assert complaints(text, m="9") == ["unknown-define"]


def test_a_setting_of_the_train_section_is_replaced_from_outside() -> None:
    text = trained(COUNTER, inputs="x", batch=2)
    assert check_text(text, **{"train.batch": "7"}).batch == 7


def test_frozen_parameters_stay_as_they_are() -> None:
    body = """model m {
      input x: f32[batch, 2]
      layer a = dense(2)
      layer b = dense(2)
      loss = mean(b(a(x)))
    }"""
    text = trained(body, inputs="x", rest='freeze = "**" except "b.*"')
    session = open_session(text)
    before = {p: v.copy() for p, v in session.variables.items()}
    step(session, {"x": np.ones((2, 2))})
    changed = {p for p, v in session.variables.items() if not np.array_equal(v, before[p])}
    assert changed == {"b.weight", "b.bias"}


def test_first_values_depend_on_the_seed_and_the_path_alone() -> None:
    first = model("input x: f32[batch, 2]\na = dense(x, 3)\nloss = mean(a)")
    second = model(
        "input x: f32[batch, 2]\nb = dense(x, 3)\na = dense(x, 3)\nloss = mean(a) + mean(b)")
    one = open_session(trained(first, inputs="x"), seed=3)
    two = open_session(trained(second, inputs="x"), seed=3)
    other = open_session(trained(first, inputs="x"), seed=4)
    np.testing.assert_array_equal(one.variables["a.weight"], two.variables["a.weight"])
    assert not np.array_equal(one.variables["a.weight"], other.variables["a.weight"])
    assert not np.array_equal(two.variables["b.weight"], two.variables["a.weight"])


def test_dropout_works_while_training_only_and_differs_from_step_to_step() -> None:
    body = model(
        "input x: f32[batch, 100]\nparam w: f32[] = 1\ny = dropout(x * w, 0.5)\n"
        "loss = mean(y)\noutput y = y")
    session = open_session(trained(body, inputs="x", optimizer="sgd(lr = 0.0)"))
    x = {"x": np.ones((2, 100))}
    first, second = (float(step(session, x, number=n)["loss"]) for n in (1, 2))
    again = float(step(session, x, number=1)["loss"])
    assert first != second and first == again
    np.testing.assert_array_equal(step(session, x, program="predict")["output.y"], 1)


def test_a_random_choice_is_made_as_often_as_it_is_likely() -> None:
    logits = np.log(np.broadcast_to([0.1, 0.6, 0.3], (4000, 3))).astype(np.float32)
    out = outputs(
        "input x: f32[batch, 3]\noutput coin = random_bernoulli([batch], 0.3)\n"
        "output choice = random_categorical(x)", x=logits)
    assert out["output.coin"].mean() == pytest.approx(0.3, abs=0.03)
    shares = np.bincount(out["output.choice"], minlength=3) / len(logits)
    np.testing.assert_allclose(shares, [0.1, 0.6, 0.3], atol=0.03)


def test_gradients_flow_through_a_sample_into_mean_and_variance() -> None:
    """The slope of a sample by its mean is 1; by the logarithm of the variance, half its noise."""
    body = model(
        "input x: f32[batch, 2000]\nparam mu: f32[2000] = constant(3.0)\nparam v: f32[2000]\n"
        "y = sample_normal(mu, v) + 0 * x\nloss = sum(y * y) / 2\noutput y = mean(y)")
    session = open_session(trained(body, inputs="x", batch=1))
    step(session, {"x": np.zeros((1, 2000))})
    drawn = 3.0 - session.variables["mu"]  # the learning rate is 1, the slope is y itself
    noise = drawn - 3.0
    assert noise.mean() == pytest.approx(0, abs=0.1) and noise.std() == pytest.approx(1, abs=0.1)
    np.testing.assert_allclose(-session.variables["v"], drawn * noise / 2, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("index", [[0, 3], [2, 0], [-1, 2], [1, -1]])
def test_an_index_of_several_axes_must_be_inside_of_each(index: list[int]) -> None:
    text = ("input n: i32[batch, 2]\nparam w: f32[2, 3] = ones\n"
            "output y = lookup_nd(w, n) * 1")
    for good in ([0, 2], [1, 0]):
        assert outputs(text, n=np.array([good]))["output.y"] == [1]
    with pytest.raises(ExecutionError, match="is outside"):
        outputs(text, n=np.array([index]))


def test_the_axes_that_an_index_covers_may_depend_on_the_batch_or_be_empty() -> None:
    index, x = np.array([[0, 3], [2, 1]]), np.array([5.0, 7.0], np.float32)
    text = ("input n: i32[batch, 2]\ninput x: f32[batch]\n"
            "output y = scatter_add_nd(n, x, [batch + 1, batch + 2]) * 1.0")
    y = outputs(text, n=index, x=x)["output.y"]
    assert y.shape == (3, 4) and y[0, 3] == 5 and y[2, 1] == 7 and y.sum() == 12
    with pytest.raises(ExecutionError, match="is outside"):
        outputs("input n: i32[batch, 2]\noutput y = lookup_nd(fill([0, 3], 1.0), n)", n=index)
