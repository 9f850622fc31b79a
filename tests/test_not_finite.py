"""A loss that stops being a number is told with the op and the line that made it so."""

from __future__ import annotations

import numpy as np
import pytest
from texts import open_session, step, trained

from flowc_runtime.executor import NonFinite


def test_the_first_op_that_made_nan_is_named_with_its_line() -> None:
    text = trained(
        "model m {\n  input x: f32[batch, 2]\n  h = log(dense(x, 3) - 1e6)\n  loss = mean(h)\n}",
        inputs="x")
    session = open_session(text)
    before = {path: v.copy() for path, v in session.variables.items()}
    with pytest.raises(NonFinite) as raised:
        step(session, {"x": np.ones((2, 2))})
    assert (raised.value.op, raised.value.at) == ("log", "test.flow:3:7")
    for path, value in session.variables.items():
        np.testing.assert_array_equal(value, before[path])


def test_weights_that_grew_too_large_are_blamed_where_they_first_overflow() -> None:
    text = trained(
        "model m {\n  input x: f32[batch, 2]\n  loss = mean(square(dense(x, 3)))\n}",
        inputs="x", optimizer="sgd(lr = 1e20)")
    session = open_session(text)
    with pytest.raises(NonFinite) as raised:
        for number in range(1, 9):
            step(session, {"x": np.ones((2, 2))}, number)
    assert raised.value.at.startswith("test.flow:3:")
