"""Tiny data, computed: the same values on every machine."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np

Array = np.ndarray

SEED = 7
SIDE = 12  # of a picture
WINDOW = 24  # values of a wave that are seen


def arms() -> dict[str, bytes]:
    """Points on three arms of a spiral, with noise: 600 to learn from, 150 to test with."""
    rng = np.random.default_rng(SEED)
    arm = np.arange(750) % 3
    radius = np.sqrt(rng.uniform(0.01, 1, 750))
    angle = 2.5 * radius + arm * (2 * np.pi / 3) + rng.normal(0, 0.15, 750)
    rows = [
        f"{x:.4f},{y:.4f},{a}"
        for x, y, a in zip(radius * np.cos(angle), radius * np.sin(angle), arm, strict=True)
    ]
    return {
        "train.csv": _csv("x,y,arm", rows[:600]),
        "test.csv": _csv("x,y,arm", rows[600:]),
    }


def shapes() -> dict[str, bytes]:
    """Grey pictures of a disc, a square, a cross or a ring somewhere, on a noisy ground."""
    rng = np.random.default_rng(SEED)
    label = (np.arange(1000) % 4).astype(np.int32)
    image = np.stack([_picture(int(kind), rng) for kind in label])
    return {
        "train.npz": _npz(image=image[:800], label=label[:800]),
        "test.npz": _npz(image=image[800:], label=label[800:]),
    }


def _picture(kind: int, rng: np.random.Generator) -> Array:
    size = rng.integers(3, 5)
    row, column = rng.integers(size, SIDE - size, 2)
    y, x = np.mgrid[:SIDE, :SIDE] - np.array([row, column]).reshape(2, 1, 1)
    distance = np.hypot(x, y)
    figures = (
        distance <= size,
        np.maximum(abs(x), abs(y)) <= size - 0.5,
        (np.minimum(abs(x), abs(y)) < 1) & (np.maximum(abs(x), abs(y)) <= size),
        (distance <= size + 0.3) & (distance >= size - 1),
    )
    ground = rng.integers(0, 60, (SIDE, SIDE))
    return np.where(figures[kind], 255 - ground, ground).astype(np.uint8)


def waves() -> dict[str, bytes]:
    """Pieces of noisy waves of many lengths: WINDOW values, and the one that follows."""
    rng = np.random.default_rng(SEED)
    phase, step = rng.uniform(0, 2 * np.pi, (800, 1)), rng.uniform(0.2, 0.6, (800, 1))
    value = np.sin(phase + step * np.arange(WINDOW + 1)) + rng.normal(0, 0.05, (800, WINDOW + 1))
    names = ",".join([f"t{i}" for i in range(WINDOW)] + ["next"])
    rows = [",".join(f"{v:.3f}" for v in line) for line in value]
    return {"series.csv": _csv(names, rows)}


def flats() -> dict[str, bytes]:
    """Flats: area in 100 square metres, rooms, age in decades, and a price in 100,000."""
    rng = np.random.default_rng(SEED)
    rooms = rng.integers(1, 7, 400)
    area = 0.12 + 0.19 * rooms + rng.normal(0, 0.06, 400)
    age = rng.uniform(0, 9, 400)
    price = 0.4 + 3.1 * area + 0.2 * rooms - 0.08 * age + rng.normal(0, 0.1, 400)
    rows = [
        f"{a:.3f},{r},{d:.1f},{p:.3f}" for a, r, d, p in zip(area, rooms, age, price, strict=True)
    ]
    return {"flats.csv": _csv("area,rooms,age,price", rows)}


def _csv(header: str, rows: Sequence[str]) -> bytes:
    return "\n".join([header, *rows, ""]).encode()


def _npz(**arrays: Array) -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    return file.getvalue()
