"""Compiling and running short .flow texts in tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from flowc.diagnostic import Sink, Stop
from flowc.driver import Checked, Options, check, check_learning, compile
from flowc.jobs import initialise
from flowc.source import Source
from flowc_runtime.executor import Session
from flowc_runtime.plan import Plan


def check_text(text: str, **defines: str) -> Checked:
    sink = Sink()
    try:
        return check(Source("test.flow", text), sink, Options(defines=defines))
    except Stop:
        raise AssertionError([f"{d.code}: {d.message}" for d in sink.errors]) from None


def complaints(text: str, folder: Path | None = None, **defines: str) -> list[str]:
    """The codes that checking the text reports, warnings included, in order."""
    sink = Sink()
    try:
        checked = check(Source("test.flow", text, folder), sink, Options(defines=defines))
        check_learning(checked, sink)
    except Stop:
        pass
    return [d.code for d in sink.diagnostics]


def plan_text(text: str, **defines: str) -> Plan:
    sink = Sink()
    try:
        return compile(Source("test.flow", text), sink, Options(defines=defines))[1]
    except Stop:
        raise AssertionError([f"{d.code}: {d.message}" for d in sink.errors]) from None


def trained(model: str, *, inputs: str, batch: int = 2, optimizer: str = "sgd(lr = 1.0)",
            rest: str = "") -> str:
    """A whole file around a model: data that is never read, and a train section."""
    return (
        f"{model}\n"
        f'data d = npz("d.npz") -> ({inputs})\n'
        f"train {{\n  data = d\n  batch = {batch}\n  optimizer = {optimizer}\n{rest}\n}}\n"
    )


def open_session(text: str, seed: int = 0, **defines: str) -> Session:
    session = Session(plan_text(text, **defines))
    initialise(session, seed)
    return session


def step(
    session: Session, inputs: Mapping[str, np.ndarray], number: int = 1, program: str = "train"
) -> dict[str, np.ndarray]:
    for name, view in session.inputs(program).items():
        view[...] = inputs[name]
    return session.run(program, seed=0, step=number)
