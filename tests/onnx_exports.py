"""A model as ONNX, with random inputs and what flowc makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from flowc.diagnostic import Sink
from flowc.driver import Checked, Options, plan_of
from flowc.onnx.export.model import export
from flowc_runtime.executor import Session

Arrays = dict[str, np.ndarray]


def session_of(checked: Checked, batch: int) -> Session:
    """Without the training step, whose memory may be large."""
    checked, options = replace(checked, settings=None), Options(predict=(batch,))
    return Session(plan_of(checked, Sink(), options, lambda stage, value: None), 1)


def computed(checked: Checked, batch: int) -> tuple[bytes, Arrays, Arrays]:
    """The ONNX file of a model with first values, random inputs, and what flowc makes of them."""
    session = session_of(checked, batch)
    first = session.run("init", seed=0, step=0)
    weights = {path: np.array(value) for path, value in first.items()}
    session.load({p: v for p, v in weights.items() if p in session.variables})
    program = f"predict@{batch}" if f"predict@{batch}" in session.plan.programs else "predict"
    generator = np.random.default_rng(0)
    given = {}
    for name, view in session.inputs(program).items():
        random = generator.normal(size=view.shape) if view.dtype.kind == "f" else (
            generator.integers(0, 10, view.shape))
        view[...] = random.astype(view.dtype)
        given[name] = np.array(view)
    outputs = {n.removeprefix("output."): np.array(v) for n, v in session.run(program).items()}
    return export(checked, weights), given, outputs
