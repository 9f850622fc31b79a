"""The data that ships with the examples is what models/data/README.md says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.selection import shuffle, take
from flowc_runtime.data.sources import open_source
from flowc_runtime.types import DTYPES

MODELS = Path(__file__).parents[2] / "models"


def everything(dataset: Dataset) -> list[np.ndarray]:
    out = [np.zeros((len(dataset), *f.shape), DTYPES[f.dtype].storage) for f in dataset.fields]
    dataset.read(np.arange(len(dataset)), out)
    return out


@pytest.mark.parametrize(("name", "per_class"), [("train", 1200), ("test", 200)])
def test_the_images_are_balanced_and_mixed(name: str, per_class: int) -> None:
    paths = (f"data/fashion/{name}-images.gz", f"data/fashion/{name}-labels.gz")
    dataset = open_source("idx", {"paths": paths}, MODELS, ("image", "label"), {"label": "i32"})
    images, labels = everything(dataset)
    assert images.shape == (10 * per_class, 28, 28) and images.dtype == np.uint8
    assert np.bincount(labels).tolist() == [per_class] * 10
    assert len(set(labels[:50].tolist())) == 10


def test_the_table_has_ten_measurements_and_a_target() -> None:
    given = {"path": "data/diabetes.csv", "columns": [(0, 9), "target"]}
    dataset = open_source("csv", given, MODELS, ("x", "y"), {})
    x, y = everything(dataset)
    assert x.shape == (442, 10) and x[0].tolist()[0] == 59
    assert (y.min(), y.max()) == (25, 346)


def test_the_spiral_has_two_arms_of_the_same_length() -> None:
    dataset = open_source("csv", {"path": "data/spiral.csv"}, MODELS, ("x", "y"), {"y": "i32"})
    assert np.unique(everything(dataset)[1], return_counts=True)[1].tolist() == [250, 250]
    part = everything(take(shuffle(dataset, seed=1), 0.8))[1]
    assert 150 < (part == 1).sum() < 250


def test_the_text_is_english_of_62_characters() -> None:
    given = {"path": "data/shakespeare.txt", "window": 64}
    dataset = open_source("text", given, MODELS, (), {})
    names = dataset.fields[0].classes
    assert (len(names), len(dataset)) == (62, 3124)
    first = everything(take(dataset, 1))[0][0]
    assert "".join(names[i] for i in first).startswith("First Citizen:\nBefore we proceed")
