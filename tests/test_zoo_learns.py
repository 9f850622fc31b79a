"""Models of the zoo that are not of pictures, and transfer learning: a few steps of each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flowc.diagnostic import Sink
from flowc.jobs import Setup, TrainingJob, prepare_training, run_training
from flowc.source import Source
from flowc.syntax.read import read_source
from flowc_runtime.checkpoint import save_weights
from flowc_runtime.events import End, Event, Warning
from flowc_runtime.training import StopSignal

MODELS = Path(__file__).parent.parent / "models"


def source(model: str) -> Source:
    found = read_source(MODELS / f"{model}.flow", Sink())
    assert found is not None
    return found


def prepared(model: Source, **settings: object) -> TrainingJob:
    defines = {name.replace("__", "."): str(value) for name, value in settings.items()}
    return prepare_training(model, Sink(), Setup(defines))


def trained(job: TrainingJob) -> tuple[End, list[Event]]:
    events: list[Event] = []
    return run_training(job, None, events.append, False, StopSignal()), events


@pytest.mark.parametrize(
    ("model", "steps", "most", "metric", "least"),
    [
        ("wide_and_deep", 126, 0.45, "accuracy", 0.82),
        ("recommender", 336, 0.70, "squared_error", 0.0),
        ("tagger", 30, 0.35, "accuracy", 0.90),
        ("gan", 40, 1.6, "energy", 0.0),
    ],
)
def test_a_model_learns_in_a_few_steps(
    model: str, steps: int, most: float, metric: str, least: float
) -> None:
    end, _ = trained(prepared(source(model), train__steps=steps))
    assert end.loss is not None and end.loss < most
    assert end.metrics[metric] >= least


# --- transfer learning ------------------------------------------------------------------------


@pytest.fixture
def flowers(tmp_path: Path) -> Source:
    """The model of flowers in a folder with small pictures in two classes, without weights."""
    chance = np.random.default_rng(3)
    for part in ("train", "val"):
        for name, colour in (("rose", (200, 30, 60)), ("tulip", (230, 200, 20))):
            folder = tmp_path / "data" / "flowers" / part / name
            folder.mkdir(parents=True)
            for number in range(4):
                noise = chance.integers(-25, 26, (70, 80, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")
    (tmp_path / "parts").mkdir()
    part = Path("parts") / "efficientnet.flow"
    (tmp_path / part).write_text((MODELS / part).read_text())
    return replace(source("flowers_finetune"), folder=tmp_path)


SMALL = {"side": 32, "kinds": 2, "train__batch": 4, "train__steps": 6}
HEAD = ("logits.weight", "logits.bias")


def with_backbone(flowers: Source) -> dict[str, np.ndarray]:
    """Weights for the body, with a head for other classes, where the text looks for them."""
    plain = replace(flowers, text=flowers.text.replace("  init = ", "  # init = "))
    job = prepared(plain, **{**SMALL, "kinds": 7, "train__seed": 99})
    assert flowers.folder is not None
    path = flowers.folder / "data" / "efficientnet_lite0.safetensors"
    save_weights(path, job.plan.variables, job.session.variables)
    return {name: value.copy() for name, value in job.session.variables.items()}


def _learns(path: str) -> bool:
    return path in HEAD or path.startswith(("features.stage_7.", "features.top."))


def test_a_frozen_body_is_taken_over_and_only_the_end_learns(flowers: Source) -> None:
    body = with_backbone(flowers)
    job = prepared(flowers, **SMALL)
    start = {path: job.session.variables[path].copy() for path in HEAD}
    end, events = trained(job)
    kept = [v.path for v in job.plan.variables if v.kind in ("param", "state")]
    assert len(kept) == 247
    learning = {v.path for v in job.plan.variables if v.kind == "param" and _learns(v.path)}
    assert {*HEAD, "features.top.convolution.y.kernel"} <= learning
    for path in kept:
        before = start[path] if path in HEAD else body[path]
        assert np.array_equal(job.session.variables[path], before) == (path not in learning), path
    assert end.step == 6 and set(end.metrics) == {"accuracy"}
    ops = [instruction.op for instruction in job.plan.programs["train"].instructions]
    assert any("conv" in op for op in ops)
    backwards = [op for op in ops if "conv" in op and "grad" in op]
    assert 0 < len(backwards) < 10  # of 49 convolutions those of the last stage
    slots = [v.path for v in job.plan.variables if v.kind == "slot"]
    assert slots and all(any(path in slot for path in learning) for slot in slots)
    (told,) = (e for e in events if isinstance(e, Warning))
    assert told.code == "init-partial" and "gives 245 of 247" in told.message
    assert "logits.weight: f32[1280, 7] in the file, f32[1280, 2] in the model" in told.message
