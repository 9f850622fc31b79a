"""Training steps of some models of flowc written in JAX, on demand: see `peers.py`.

    python benchmarks/jax_steps.py MODEL jit THREADS

See `serve.py` for what it reads and prints. A step is
one compiled function that is given its arguments' memory; needs jax and optax.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

if hasattr(os, "sched_setaffinity"):  # XLA has as many threads as there are cores
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[3])])

import jax
import jax.numpy as jnp
import optax
from jax import lax
from serve import serve

Tree = Any  # of arrays
Forward = Callable[..., Any]
KEYS = iter(jax.random.split(jax.random.key(1), 1000))


def uniform(bound: float, *shape: int) -> jax.Array:
    return jax.random.uniform(next(KEYS), shape, jnp.float32, -bound, bound)


def linear(inputs: int, outputs: int) -> Tree:
    return {"w": uniform(inputs**-0.5, inputs, outputs), "b": jnp.zeros(outputs)}


def kernel(side: int, inputs: int, outputs: int) -> jax.Array:
    return uniform((6 / (side * side * inputs)) ** 0.5, side, side, inputs, outputs)


def dense(p: Tree, x: jax.Array) -> jax.Array:
    return x @ p["w"] + p["b"]


def conv(x: jax.Array, k: jax.Array, stride: int = 1, side: int = 0) -> jax.Array:
    around = [(side, side)] * 2
    return lax.conv_general_dilated(
        x, k, (stride, stride), around, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def pooled(x: jax.Array) -> jax.Array:
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def images(batch: int, *shape: int) -> tuple[jax.Array, jax.Array]:
    pixels = jax.random.randint(next(KEYS), (batch, *shape), 0, 256, jnp.uint8)
    return pixels, jax.random.randint(next(KEYS), (batch,), 0, 10)


def letters() -> tuple[jax.Array, jax.Array]:
    return (jax.random.randint(next(KEYS), (32, 64), 0, 65),
            jax.random.randint(next(KEYS), (32, 64), 0, 65))


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


# --- models: parameters, running means, what is computed of them, a batch, and who updates --------


def fashion_mlp() -> tuple[Any, ...]:
    params = [linear(784, 128), linear(128, 10)]

    def forward(p: Tree, state: Tree, x: jax.Array, key: jax.Array) -> tuple[jax.Array, Tree]:
        x = x.reshape(len(x), -1).astype(jnp.float32) / 255
        return dense(p[1], jax.nn.relu(dense(p[0], x))), state

    return params, {}, forward, images(128, 28, 28), optax.adam(1e-5)


def lenet() -> tuple[Any, ...]:
    params = {
        "k1": kernel(5, 1, 20), "b1": jnp.zeros(20), "k2": kernel(5, 20, 50), "b2": jnp.zeros(50),
        "wide": linear(800, 500), "last": linear(500, 10)}

    def forward(p: Tree, state: Tree, x: jax.Array, key: jax.Array) -> tuple[jax.Array, Tree]:
        x = x.astype(jnp.float32) / 255
        x = jax.nn.relu(pooled(conv(x, p["k1"]) + p["b1"]))
        x = jax.nn.relu(pooled(conv(x, p["k2"]) + p["b2"]))
        x = jax.nn.relu(dense(p["wide"], x.reshape(len(x), -1)))
        kept = jax.random.bernoulli(key, 0.75, x.shape)
        return dense(p["last"], jnp.where(kept, x / 0.75, 0)), state

    return params, {}, forward, images(64, 28, 28, 1), optax.sgd(1e-5, momentum=0.9)


def norm(p: Tree, x: jax.Array) -> tuple[jax.Array, Tree]:
    mean, square = x.mean((0, 1, 2)), (x * x).mean((0, 1, 2))
    var = square - mean * mean
    return (x - mean) * lax.rsqrt(var + 1e-5) * p["scale"] + p["shift"], {"mean": mean, "var": var}


def averaged(before: Tree, now: Tree) -> Tree:
    return jax.tree.map(lambda a, b: 0.9 * a + 0.1 * b, before, now)


def resnet20() -> tuple[Any, ...]:
    def scales(n: int) -> Tree:
        return {"scale": jnp.ones(n), "shift": jnp.zeros(n)}

    def means(n: int) -> Tree:
        return {"mean": jnp.zeros(n), "var": jnp.ones(n)}

    blocks, kept, strides, channels = [], [], [], 16
    for filters in (16, 32, 64):
        for k in range(3):
            block = {"k1": kernel(3, channels, filters), "n1": scales(filters),
                     "k2": kernel(3, filters, filters), "n2": scales(filters)}
            if channels != filters:
                block |= {"k3": kernel(1, channels, filters), "n3": scales(filters)}
            strides.append(2 if k == 0 and filters > 16 else 1)
            kept.append({name: means(filters) for name in block if name[0] == "n"})
            blocks.append(block)
            channels = filters
    params = {"k": kernel(3, 3, 16), "n": scales(16), "blocks": blocks, "last": linear(64, 10)}

    def forward(p: Tree, state: Tree, x: jax.Array, key: jax.Array) -> tuple[jax.Array, Tree]:
        x, first = norm(p["n"], conv(x.astype(jnp.float32) / 255, p["k"], 1, 1))
        x, seen = jax.nn.relu(x), []
        for b, stride in zip(p["blocks"], strides, strict=True):
            found = {}
            y, found["n1"] = norm(b["n1"], conv(x, b["k1"], stride, 1))
            y, found["n2"] = norm(b["n2"], conv(jax.nn.relu(y), b["k2"], 1, 1))
            if "k3" in b:
                x, found["n3"] = norm(b["n3"], conv(x, b["k3"], stride))
            x = jax.nn.relu(x + y)
            seen.append(found)
        return dense(p["last"], x.mean((1, 2))), averaged(state, {"n": first, "blocks": seen})

    optimizer = optax.chain(optax.add_decayed_weights(1e-4), optax.sgd(1e-5, momentum=0.9))
    return params, {"n": means(16), "blocks": kept}, forward, images(32, 32, 32, 3), optimizer


def clipped(optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
    return optax.chain(optax.clip_by_global_norm(1.0), optimizer)


def char_lstm() -> tuple[Any, ...]:
    params = {"table": uniform(1, 65, 64), "in": linear(64, 512),
              "again": uniform(128**-0.5, 128, 512), "head": linear(128, 65)}

    def forward(p: Tree, state: Tree, x: jax.Array, key: jax.Array) -> tuple[jax.Array, Tree]:
        gates = dense(p["in"], p["table"][x]).transpose(1, 0, 2)

        def cell(hc: Tree, g: jax.Array) -> tuple[Tree, jax.Array]:
            h, c = hc
            i, f, z, o = jnp.split(g + h @ p["again"], 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(z)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        nothing = jnp.zeros((len(x), 128))
        _, hidden = lax.scan(cell, (nothing, nothing), gates)
        return dense(p["head"], hidden.transpose(1, 0, 2)), state

    return params, {}, forward, letters(), clipped(optax.adam(1e-5))


def gpt(d: int = 64, heads: int = 4, layers: int = 2) -> tuple[Any, ...]:
    def scales() -> Tree:
        return {"scale": jnp.ones(d), "shift": jnp.zeros(d)}

    params = {
        "table": uniform(0.03, 65, d), "places": uniform(0.03, 64, d), "norm": scales(),
        "blocks": [
            {"n1": scales(), "n2": scales(), "qkv": uniform(d**-0.5, d, 3 * d),
             "out": linear(d, d), "wide": linear(d, 4 * d), "narrow": linear(4 * d, d)}
            for _ in range(layers)]}

    def layer_norm(p: Tree, x: jax.Array) -> jax.Array:
        mean = x.mean(-1, keepdims=True)
        var = ((x - mean) ** 2).mean(-1, keepdims=True)
        return (x - mean) * lax.rsqrt(var + 1e-5) * p["scale"] + p["shift"]

    def forward(p: Tree, state: Tree, x: jax.Array, key: jax.Array) -> tuple[jax.Array, Tree]:
        h = p["table"][x] + p["places"]
        for b in p["blocks"]:
            shape = (*x.shape, heads, d // heads)
            q, k, v = (t.reshape(shape) for t in jnp.split(
                layer_norm(b["n1"], h) @ b["qkv"], 3, -1))
            mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True)
            h = h + dense(b["out"], mixed.reshape(h.shape))
            h = h + dense(b["narrow"], jax.nn.gelu(dense(b["wide"], layer_norm(b["n2"], h))))
        return layer_norm(p["norm"], h) @ p["table"].T, state

    return params, {}, forward, letters(), clipped(optax.adamw(1e-5))


MODELS = {f.__name__: f for f in (fashion_mlp, lenet, resnet20, char_lstm, gpt)}


def stepper(name: str) -> Callable[[int], None]:
    """Does so many steps, and waits for the last."""
    params, state, forward, batch, optimizer = MODELS[name]()
    kept = (params, state, optimizer.init(params), jax.random.key(2))

    def loss_of(p: Tree, state: Tree, key: jax.Array, batch: Tree) -> tuple[jax.Array, Tree]:
        x, labels = batch
        logits, state = forward(p, state, x, key)
        return cross_entropy(logits, labels), state

    @partial(jax.jit, donate_argnums=0)
    def step(kept: Tree, batch: Tree) -> tuple[Tree, jax.Array]:
        params, state, moments, key = kept
        key, dropped = jax.random.split(key)
        gradient = jax.value_and_grad(loss_of, has_aux=True)
        (loss, state), found = gradient(params, state, dropped, batch)
        updates, moments = optimizer.update(found, moments, params)
        return (optax.apply_updates(params, updates), state, moments, key), loss

    def steps(count: int) -> None:
        nonlocal kept
        for _ in range(count):
            kept, loss = step(kept, batch)
        loss.block_until_ready()

    return steps


def main() -> None:
    steps = stepper(sys.argv[1])
    serve(steps)


if __name__ == "__main__":
    main()
