"""Data for models whose own are not in the repository, so that a step of each can be timed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from flowc.diagnostic import Sink
from flowc.jobs import initialise
from flowc.planning.compiled import Compiled, compile_for
from flowc.syntax.read import read_source
from flowc_runtime.executor import Session

CLASSES, PICTURES, SIDE = 5, 16, 80  # pictures of a class, pixels of a side
CIFAR_EXAMPLES, CIFAR_BYTES = 200, 1 + 3 * 32 * 32  # of a file, of an example
SINK_ROWS = 400
# Networks for photographs, small enough for a step in a fraction of a second.
SIZES = {
    "efficientnet_lite0": {"side": "32", "classes": "5", "train.batch": "4"},
    "flowers_finetune": {"side": "32", "train.batch": "4"},
    "inception_v3": {"side": "107", "classes": "5", "train.batch": "2"},
    "mobilenet_v2": {"side": "32", "classes": "5", "train.batch": "4"},
    "resnet20": {"train.batch": "8"},
    "resnet50": {"side": "32", "classes": "5", "train.batch": "2"},
    "vgg": {"side": "32", "classes": "5", "width": "16", "hidden": "512", "train.batch": "8"},
}


def with_data(models: Path, folder: Path) -> Path:
    """A copy of the models in the folder, with data beside them that are not in the repository."""
    copy = folder / "models"
    shutil.copytree(models, copy)
    random = np.random.default_rng(1)
    _sink(copy, random)
    _cifar10(copy / "data" / "cifar10", random)
    for name in ("imagenet", "flowers"):
        for part in ("train", "val"):
            _pictures(copy / "data" / name / part, random)
    _weights(copy / "efficientnet_lite0.flow", copy / "data" / "efficientnet_lite0.safetensors")
    return copy


def _compiled(path: Path) -> Compiled:
    source = read_source(path, Sink())
    assert source is not None
    return compile_for(source, Sink(), SIZES.get(path.stem, {}), None, None)


def _sink(models: Path, random: np.random.Generator) -> None:
    arrays = {}
    for name, type in _compiled(models / "kitchen_sink.flow").checked.inputs.items():
        shape = type.bound({"batch": SINK_ROWS}).sizes
        values = random.random(shape) if type.kind == "float" else random.integers(0, 2, shape)
        arrays[name] = values.astype(type.storage)
    np.savez(models / "data" / "sink.npz", **arrays)


def _cifar10(folder: Path, random: np.random.Generator) -> None:
    folder.mkdir()
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        examples = random.integers(0, 256, (CIFAR_EXAMPLES, CIFAR_BYTES), np.uint8)
        examples[:, 0] %= 10
        (folder / f"{name}.bin").write_bytes(examples.tobytes())


def _pictures(folder: Path, random: np.random.Generator) -> None:
    for label in range(CLASSES):
        (folder / str(label)).mkdir(parents=True)
        for number in range(PICTURES):
            pixels = random.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
            Image.fromarray(pixels).save(folder / str(label) / f"{number}.jpg")


def _weights(model: Path, path: Path) -> None:
    session = Session(_compiled(model).alone, None)
    initialise(session, 1)
    save_file({name: np.array(value) for name, value in session.variables.items()}, path)
