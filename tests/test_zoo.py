"""The networks for pictures: each compiles and learns a small batch; published sizes hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from zoo import SMALL

from flowc.diagnostic import Sink
from flowc.driver import Options, check, compile
from flowc.jobs import initialise
from flowc.syntax.read import read_source
from flowc_runtime.executor import Session

MODELS = Path(__file__).parents[1] / "models"
BATCH, STEPS = 4, 3
# What the papers' networks have, as frameworks count them.
PARAMETERS = {
    "efficientnet_lite0": 4_652_008,
    "inception_v3": 27_161_264 + 2_048 + 1 + 768 + 1,  # torchvision's, and one class more
    "mobilenet_v2": 3_504_872,
    "resnet20": 272_474,
    "resnet50": 25_557_032,
    "vgg": 138_357_544,
}


def compiled(name: str, **defines: str) -> Session:
    sink = Sink()
    source = read_source(MODELS / f"{name}.flow", sink)
    assert source is not None
    options = Options(defines={**SMALL[name], "train.batch": str(BATCH), **defines})
    return Session(compile(source, sink, options)[1], None)


LONG = {"inception_v3"}  # its channels cannot be made fewer
EACH = [pytest.param(n, marks=pytest.mark.soak) if n in LONG else n for n in SMALL]


@pytest.mark.parametrize("name", EACH)
def test_a_network_learns_a_batch_by_heart(name: str) -> None:
    session = compiled(name, **{"train.optimizer": "adam(lr = 3e-3)"})
    initialise(session, seed=3)
    rng = np.random.default_rng(5)
    given = {n: rng.integers(0, 255 if n == "image" else 5, x.shape).astype(x.dtype)
             for n, x in session.inputs("train").items()}  # fmt: skip
    losses = []
    for step in range(1, STEPS + 1):
        for name_of, value in given.items():
            session.inputs("train")[name_of][...] = value
        losses.append(float(session.run("train", seed=3, step=step)["loss"]))
    assert np.isfinite(losses).all()
    assert min(losses[1:]) < losses[0]


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_published_network_has_as_many_parameters_as_published(name: str) -> None:
    sink = Sink()
    source = read_source(MODELS / f"{name}.flow", sink)
    assert source is not None
    variables = check(source, sink).train.variables.values()
    params = [v.tensor.type.sizes for v in variables if v.kind == "param"]
    assert sum(int(np.prod(sizes)) for sizes in params) == PARAMETERS[name]


@pytest.mark.soak
def test_inception_trains_by_the_recipe_of_its_text() -> None:
    session = compiled("inception_v3")
    initialise(session, seed=1)
    session.inputs("train")["image"][...] = 7
    session.inputs("train")["label"][...] = 1
    session.run("train", seed=1, step=1)
    squares = session.variables["logits.weight:squares"]
    assert (squares <= 1).all() and (squares > 0.89).all()  # began at 1, forgot a tenth
