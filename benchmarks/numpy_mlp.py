"""The peer: fashion_mlp by hand in NumPy, in f32, with Adam, as someone who knows NumPy writes it.

Buffers of the batch's size are made once and written with `out=`; Adam works in place, with the
scalars put together first. Loss and accuracy are computed in each step, as the model states them.
"""

from __future__ import annotations

import numpy as np

RATE, BETA1, BETA2, EPS = np.float32(1e-3), np.float32(0.9), np.float32(0.999), np.float32(1e-8)


class NumpyMlp:
    """784-128-10 with relu and cross entropy; `step` takes raw u8 images and i32 labels."""

    def __init__(self, batch: int, hidden: int = 128, seed: int = 0):
        rng = np.random.default_rng(seed)
        self.batch = batch
        self.rows = np.arange(batch)
        self.params = [
            rng.normal(0, 784**-0.5, (784, hidden)).astype(np.float32),
            np.zeros(hidden, np.float32),
            rng.normal(0, hidden**-0.5, (hidden, 10)).astype(np.float32),
            np.zeros(10, np.float32),
        ]
        self.grads = [np.empty_like(p) for p in self.params]
        self.first = [np.zeros_like(p) for p in self.params]
        self.second = [np.zeros_like(p) for p in self.params]
        self.scratch = [np.empty_like(p) for p in self.params]
        self.x = np.empty((batch, 784), np.float32)
        self.hidden = np.empty((batch, hidden), np.float32)
        self.logits = np.empty((batch, 10), np.float32)
        self.dhidden = np.empty((batch, hidden), np.float32)
        self.count = 0
        self.accuracy = 0.0

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        w1, b1, w2, b2 = self.params
        x, h, z, dh = self.x, self.hidden, self.logits, self.dhidden
        np.multiply(images.reshape(self.batch, 784), np.float32(1 / 255), out=x)
        np.matmul(x, w1, out=h)
        h += b1
        np.maximum(h, 0, out=h)
        np.matmul(h, w2, out=z)
        z += b2
        self.accuracy = float((z.argmax(1) == labels).mean())
        z -= z.max(1, keepdims=True)
        picked = z[self.rows, labels].copy()
        np.exp(z, out=z)
        total = z.sum(1, keepdims=True)
        loss = float((np.log(total[:, 0]) - picked).mean())
        z /= total
        z[self.rows, labels] -= 1
        z /= self.batch
        np.matmul(z, w2.T, out=dh)
        dh *= h > 0
        np.matmul(x.T, dh, out=self.grads[0])
        np.sum(dh, axis=0, out=self.grads[1])
        np.matmul(h.T, z, out=self.grads[2])
        np.sum(z, axis=0, out=self.grads[3])
        self._adam()
        return loss

    def _adam(self) -> None:
        self.count += 1
        scale = (1 - float(BETA2) ** self.count) ** 0.5
        rate = np.float32(float(RATE) * scale / (1 - float(BETA1) ** self.count))
        eps = np.float32(float(EPS) * scale)
        lists = (self.params, self.grads, self.first, self.second, self.scratch)
        for p, g, m, v, t in zip(*lists, strict=True):
            m *= BETA1
            np.multiply(g, 1 - BETA1, out=t)
            m += t
            v *= BETA2
            np.multiply(g, g, out=t)
            t *= 1 - BETA2
            v += t
            np.sqrt(v, out=t)
            t += eps
            np.divide(m, t, out=t)
            t *= rate
            p -= t
