"""Training steps of some models of flowc written in TensorFlow, on demand: see `peers.py`.

    python benchmarks/tensorflow_steps.py MODEL graph|xla THREADS

See `serve.py` for what it reads and prints. A step is
one `tf.function`, which XLA compiles in the mode of that name.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

if hasattr(os, "sched_setaffinity"):  # XLA has as many threads as there are cores
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(sys.argv[3])])

import tensorflow as tf
from serve import serve

tf.config.threading.set_intra_op_parallelism_threads(int(sys.argv[3]))
tf.config.threading.set_inter_op_parallelism_threads(1)

K, L = tf.keras, tf.keras.layers
Found = tuple[Any, Any, Any, Any]  # a model, its examples, their labels, who updates


def images(batch: int, *shape: int) -> tuple[Any, Any]:
    return (tf.cast(tf.random.uniform((batch, *shape), 0, 256, tf.int32), tf.uint8),
            tf.random.uniform((batch,), 0, 10, tf.int32))


def letters() -> tuple[Any, Any]:
    return tuple(tf.random.uniform((32, 64), 0, 65, tf.int32) for _ in range(2))


def scaled(x: Any) -> Any:
    return L.Rescaling(1 / 255)(x)


def fashion_mlp() -> Found:
    x = K.Input((28, 28), dtype="uint8")
    y = L.Dense(128, "relu")(L.Flatten()(scaled(x)))
    return K.Model(x, L.Dense(10)(y)), *images(128, 28, 28), K.optimizers.Adam(1e-5)


def lenet() -> Found:
    x = K.Input((28, 28, 1), dtype="uint8")
    y = scaled(x)
    for filters in (20, 50):
        y = L.ReLU()(L.MaxPool2D()(L.Conv2D(filters, 5)(y)))
    y = L.Dropout(0.25)(L.Dense(500, "relu")(L.Flatten()(y)))
    sgd = K.optimizers.SGD(1e-5, momentum=0.9)
    return K.Model(x, L.Dense(10)(y)), *images(64, 28, 28, 1), sgd


def resnet20() -> Found:
    def normed(x: Any, filters: int, side: int, stride: int = 1) -> Any:
        around = L.ZeroPadding2D(side // 2)(x) if side > 1 else x
        return L.BatchNormalization(epsilon=1e-5)(
            L.Conv2D(filters, side, stride, use_bias=False)(around))

    x = K.Input((32, 32, 3), dtype="uint8")
    y, channels = L.ReLU()(normed(scaled(x), 16, 3)), 16
    for filters in (16, 32, 64):
        for k in range(3):
            stride = 2 if k == 0 and filters > 16 else 1
            inner = normed(L.ReLU()(normed(y, filters, 3, stride)), filters, 3)
            past = y if channels == filters else normed(y, filters, 1, stride)
            y, channels = L.ReLU()(L.Add()([inner, past])), filters
    sgd = K.optimizers.SGD(1e-5, momentum=0.9, weight_decay=1e-4)
    net = K.Model(x, L.Dense(10)(L.GlobalAveragePooling2D()(y)))
    return net, *images(32, 32, 32, 3), sgd


def char_lstm() -> Found:
    x = K.Input((64,), dtype="int32")
    y = L.LSTM(128, return_sequences=True)(L.Embedding(65, 64)(x))
    adam = K.optimizers.Adam(1e-5, global_clipnorm=1.0)
    return K.Model(x, L.Dense(65)(y)), *letters(), adam


class Tokens(L.Layer):
    """A table that letters are looked up in, with their places, and that they are read from."""

    def build(self, shape: Any) -> None:
        self.table = self.add_weight(shape=(65, 64), initializer="random_normal")
        self.places = self.add_weight(shape=(64, 64), initializer="random_normal")

    def call(self, x: Any) -> Any:
        return tf.gather(self.table, x) + self.places

    def read(self, h: Any) -> Any:
        return tf.matmul(h, self.table, transpose_b=True)


class Gpt(K.Model):
    def __init__(self, d: int = 64, heads: int = 4, layers: int = 2):
        super().__init__()
        self.tokens, self.norm, self.heads = Tokens(), L.LayerNormalization(epsilon=1e-5), heads
        self.blocks = [
            [L.LayerNormalization(epsilon=1e-5), L.Dense(3 * d, use_bias=False), L.Dense(d),
             L.LayerNormalization(epsilon=1e-5), L.Dense(4 * d), L.Dense(d)]
            for _ in range(layers)]

    def call(self, x: Any, training: bool = False) -> Any:
        h = self.tokens(x)
        for first, qkv, out, second, wide, narrow in self.blocks:
            h = h + out(self.mixed(qkv(first(h))))
            h = h + narrow(K.activations.gelu(wide(second(h)), approximate=True))
        return self.tokens.read(self.norm(h))

    def mixed(self, qkv: Any) -> Any:
        batch, time_, d = qkv.shape[0], qkv.shape[1], qkv.shape[2] // 3
        q, k, v = (
            tf.transpose(tf.reshape(t, (batch, time_, self.heads, d // self.heads)), (0, 2, 1, 3))
            for t in tf.split(qkv, 3, -1))
        scores = tf.matmul(q, k, transpose_b=True) * (d // self.heads) ** -0.5
        past = tf.linalg.band_part(tf.ones((time_, time_)), -1, 0)
        mixed = tf.matmul(tf.nn.softmax(scores + (past - 1) * 1e9), v)
        return tf.reshape(tf.transpose(mixed, (0, 2, 1, 3)), (batch, time_, d))


def gpt() -> Found:
    return Gpt(), *letters(), K.optimizers.AdamW(1e-5, global_clipnorm=1.0)


MODELS = {f.__name__: f for f in (fashion_mlp, lenet, resnet20, char_lstm, gpt)}


def stepper(name: str, mode: str) -> Callable[[], Any]:
    net, x, labels, optimizer = MODELS[name]()
    net(x)
    optimizer.build(net.trainable_variables)

    @tf.function(jit_compile=mode == "xla")
    def step(x: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = net(x, training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        gradients = tape.gradient(loss, net.trainable_variables)
        optimizer.apply_gradients(zip(gradients, net.trainable_variables, strict=True))
        return loss

    return lambda: step(x, labels)


def main() -> None:
    tf.random.set_seed(1)
    step = stepper(sys.argv[1], sys.argv[2])

    def steps(count: int) -> None:
        for _ in range(count):
            loss = step()
        loss.numpy()

    serve(steps)


if __name__ == "__main__":
    main()
