"""Goldens: what the compiler makes of the shipped models, stage by stage, as committed text.

`make golden` rewrites them; the diff is read, and committed with its cause.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from zoo import SMALL

from flowc.diagnostic import Sink
from flowc.driver import Options, compile
from flowc.syntax.read import read_source
from flowc.views.stages import stage_text

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "golden"
KITCHEN_SINK = "kitchen_sink"
MODELS = sorted(path.stem for path in (ROOT / "models").glob("*.flow") if path.stem not in SMALL)
OTHERS = ("train.graph", "plan")  # the stages of which the other models have goldens
TOO_LONG = ("char_lstm", "flowers_finetune", "gpt", "tagger")  # for anybody to read their plans


@cache
def stages(model: str) -> dict[str, str]:
    """The text of every stage that is kept for a model."""
    seen: dict[str, str] = {}

    def watch(stage: str, result: object) -> None:
        if stage == "plan" and model in (KITCHEN_SINK, *TOO_LONG):
            return
        if model == KITCHEN_SINK or stage in OTHERS:
            seen[stage] = stage_text(result)

    path = ROOT / "models" / f"{model}.flow"
    source = read_source(path, Sink())
    assert source is not None
    compile(type(source)(path.name, source.text, source.folder), Sink(), Options(), watch)
    return seen


@pytest.mark.parametrize("model", MODELS)
def test_every_stage_of_a_model_is_as_committed(model: str, update_golden: bool) -> None:
    folder = GOLDEN / model
    found = stages(model)
    if update_golden:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.txt"):
            old.unlink()
        for stage, text in found.items():
            (folder / f"{stage}.txt").write_text(text)
    committed = {path.stem: path.read_text() for path in sorted(folder.glob("*.txt"))}
    assert sorted(committed) == sorted(found)
    for stage, text in found.items():
        assert committed[stage] == text, f"{model}/{stage} changed; `make golden` if it is meant"


def test_no_golden_is_without_its_model() -> None:
    kept = {path.name for path in GOLDEN.iterdir() if path.is_dir()} - {"errors"}
    assert kept <= set(MODELS)
