"""The pages of the sections: what `train` may set, and what `data` may be made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from flowc.lower.settings import SETTINGS, TrainSettings
from flowc_runtime.data.arguments import Parameter
from flowc_runtime.data.sources import SOURCES
from flowc_runtime.data.transform import TRANSFORMS
from flowc_runtime.training.agenda import FIRST_STEPS, VALIDATIONS_MAX
from flowc_runtime.training.loop import SAVE_SECONDS
from pages.markdown import Lines, literal, page, quoted, sentence, table

SETTING_DOCS = {
    "data": "the examples to learn from: a `data` item, and transforms",
    "validate": "the examples to measure on",
    "optimizer": "how parameters are updated, see [library](library.md#stdoptimizers)",
    "batch": "examples in a step; the dimension `batch`",
    "shards": "equal parts of a batch, whose gradients are added in a fixed order: with the same "
    "`shards` any number of workers gives the same bits; without it, one a worker",
    "epochs": "how many times to go through the data",
    "steps": "how many steps to take; instead of `epochs`",
    "seed": "of first values, shuffling and every random op",
    "clip_norm": "the most that the common norm of all gradients may be",
    "clip_value": "the most that an element of a gradient may be, either way",
    "freeze": "parameters that do not learn",
    "init": "weights to start from: a safetensors file, a checkpoint or a run folder",
    "log_every": "steps between two entries of the log; without it, the first "
    f"{FIRST_STEPS} steps and then some ten a second",
    "validate_every": "steps between two validations; without it, at the ends of epochs, at most "
    f"{VALIDATIONS_MAX} times",
    "checkpoint_every": "steps between two checkpoints; without it, every "
    f"{SAVE_SECONDS:.0f} seconds; one is always saved at the start and at the end",
}
SETTING_DEFAULTS = {"data": "needed", "validate": "", "optimizer": "`sgd()`", "epochs": "1"}


def settings() -> str:
    intro = [
        "What a `train` section may set, one setting a line. On the command line,",
        "`-D train.NAME=VALUE` replaces a setting; `--steps`, `--epochs` and `--seed` are short",
        "for three of them.",
        "",
    ]
    assert SETTING_DOCS.keys() == SETTINGS.keys(), SETTING_DOCS.keys() ^ SETTINGS.keys()
    defaults = {field.name: field.default for field in fields(TrainSettings)}
    rows = [
        (f"`{name}`", quoted(SETTINGS[name].words), _setting_default(name, defaults),
         SETTING_DOCS[name])
        for name in SETTINGS
    ]
    return page("Settings of `train`", intro, table(("setting", "takes", "default", "what"), rows))


def _setting_default(name: str, defaults: Mapping[str, Any]) -> str:
    if name in SETTING_DEFAULTS:
        return SETTING_DEFAULTS[name]
    return "" if defaults[name] is None else str(defaults[name])


def data() -> str:
    intro = [
        "What a `data` item is made of: a source, then any number of transforms, each behind",
        "`|>`. A file that is damaged, or does not fit the model's inputs, is an error that names",
        "the file, and the row where it has rows.",
        "",
    ]
    sources = _calls("Sources", ((s.name, s.doc, s.parameters) for s in SOURCES.values()))
    transforms = _calls("Transforms", ((t.name, t.doc, t.parameters) for t in TRANSFORMS.values()))
    return page("Data", intro, sources, transforms)


def _calls(title: str, calls: Iterable[tuple[str, str, tuple[Parameter, ...]]]) -> Lines:
    yield f"## {title}"
    yield ""
    for name, doc, parameters in calls:
        yield f"### {name}"
        yield ""
        yield sentence(doc)
        yield ""
        rows = [(f"`{p.name}`", quoted(p.kind.name.rstrip(",")), _default(p), quoted(p.doc))
                for p in parameters]
        yield from table(("parameter", "takes", "default", "what"), rows)


def _default(parameter: Parameter) -> str:
    if parameter.required:
        return "needed, any number" if parameter.variadic else "needed"
    return "" if parameter.default is None else f"`{literal(parameter.default)}`"
