"""Gradients of whole texts against central differences in f64."""

from __future__ import annotations

import numpy as np
import pytest
from texts import open_session, step, trained

MODELS = {
    "a perceptron": (
        """model m {
          input x: f64[batch, 3]
          input y: i32[batch]
          loss = mean(cross_entropy(x |> dense(5) |> tanh |> dense(4), y))
        }""",
        "x, y",
    ),
    "a value used by three users": (
        """model m {
          input x: f64[batch, 3]
          param w: f64[3] = normal(0.5)
          a = x * w
          loss = mean(a * a + exp(a) * sum(a))
        }""",
        "x",
    ),
    "self-attention with layer norm": (
        """model m {
          input x: f64[batch, time = 3, 4]
          loss = mean(square(attention(layer_norm(x), heads = 2)))
        }""",
        "x",
    ),
    "images": (
        """model m {
          input x: f64[batch, 6, 6, 2]
          h = x |> conv2d(3, size = 3, stride = 2) |> max_pool(2, stride = 1) |> gelu
          loss = mean(square(h |> flatten |> dense(2)))
        }""",
        "x",
    ),
    "an lstm": (
        """model m {
          input x: f64[batch, time = 4, 3]
          loss = mean(square(lstm(x, 2)))
        }""",
        "x",
    ),
    "a scan that yields nothing but its last carry": (
        """model m {
          input x: f64[batch, time = 4, 3]
          param w: f64[3, 3] = normal(0.5)
          last = scan x over time as xt carry (h = cast(zeros([batch, 3]), f64)) {
            h = tanh(xt + h @ w)
          }
          loss = mean(square(last))
        }""",
        "x",
    ),
    "a scan backwards over a sequence that learns": (
        """model m {
          input x: f64[batch, time = 3, 2]
          h = x |> dense(2)
          y = scan h over time reversed as ht carry (s = cast(zeros([batch, 2]), f64)) {
            s = s * 0.5 + sin(ht)
            yield s * ht, s
          }
          a, b = y
          loss = mean(a * b)
        }""",
        "x",
    ),
    "a scan inside a scan": (
        """model m {
          input x: f64[batch, time = 3, depth = 2, 2]
          param w: f64[2] = normal(0.5)
          y = scan x over time as xt carry (s = cast(zeros([batch, 2]), f64)) {
            z = scan xt over depth as xd carry (r = s) {
              r = tanh(r + xd * w)
              yield r
            }
            s = sum(z, over = 1)
            yield s
          }
          loss = mean(square(y))
        }""",
        "x",
    ),
    "a shared layer": (
        """model m {
          input x: f64[batch, 3]
          layer twice = dense(3)
          loss = mean(square(twice(tanh(twice(x)))))
        }""",
        "x",
    ),
    "an embedding tied to the logits": (
        """model m {
          input x: i32[batch, time = 3]
          param table: f64[4, 3] = normal(0.5)
          loss = mean(cross_entropy(lookup(table, x) @ transpose(table), x))
        }""",
        "x",
    ),
    "indexing, joining and reducing": (
        """model m {
          input x: f64[batch, 4]
          param w: f64[4, 4] = normal(0.5)
          h = x @ w
          a, b = split(h, 2)
          c = concat([a[:, ::-1], b * a[:, :1]])
          loss = mean(logsumexp(c)) + mean(max(c, over = -1)) + mean(clip(c, -0.2, 0.3))
        }""",
        "x",
    ),
}


def example(session: object, rng: np.random.Generator) -> dict[str, np.ndarray]:
    inputs = session.inputs("train")  # type: ignore[attr-defined]
    return {
        name: rng.integers(0, 3, v.shape) if v.dtype.kind == "i" else rng.normal(size=v.shape)
        for name, v in inputs.items()
    }


@pytest.mark.parametrize("name", MODELS)
def test_the_gradient_of_every_parameter_equals_central_differences(name: str) -> None:
    model, inputs = MODELS[name]
    session = open_session(trained(model, inputs=inputs))
    rng = np.random.default_rng(1)
    data = example(session, rng)
    start = {path: v.copy() for path, v in session.variables.items()}

    def loss(path: str, index: tuple[int, ...], shift: float) -> float:
        for other, value in start.items():
            session.variables[other][...] = value
        session.variables[path][index] += shift
        return float(step(session, data)["loss"])

    step(session, data)
    gradients = {path: start[path] - v for path, v in session.variables.items()}  # lr is 1
    for path, gradient in gradients.items():
        for _ in range(6):
            index = tuple(int(rng.integers(n)) for n in gradient.shape)
            numeric = (loss(path, index, 1e-5) - loss(path, index, -1e-5)) / 2e-5
            assert gradient[index] == pytest.approx(numeric, rel=1e-4, abs=1e-8), (path, index)
