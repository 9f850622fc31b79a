"""Training on the stand-in for a GPU, step by step against NumPy, in many orders."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import zoo
from gpu_stand_in import cuda_device

from flowc.diagnostic import Sink
from flowc.driver import Options, compile
from flowc.jobs import initialise
from flowc.source import Source
from flowc_runtime.device import Device, ExecutionError, NonFinite
from flowc_runtime.executor import Session
from flowc_runtime.numpy_device import NumpyDevice
from flowc_runtime.plan import Plan

SEED, STEPS = 5, 3
SMALL = {
    "fashion_mlp": {"train.batch": "6"},
    "lenet": {"train.batch": "3"},
    "gpt": {"train.batch": "2", "d": "32"},
    "char_lstm": {"train.batch": "3", "width": "24"},
}
SEEDS = range(1, 9)  # of the order in which everything happens

Seeded = Callable[[int], None]


def plan_of(model: str) -> Plan:
    path = zoo.FOLDER / f"{model}.flow"
    sizes = {"train.batch": "4"} | zoo.SMALL.get(model, {}) | SMALL.get(model, {})
    options = Options(defines=sizes)
    return compile(Source(path.name, path.read_text(), path.parent), Sink(), options)[1]


def ready(plan: Plan, device: Device) -> Session:
    session = Session(plan, device=device)
    initialise(session, SEED)
    return session


def feed(session: Session, program: str, step: int) -> None:
    rng = np.random.default_rng(step)
    for view in session.inputs(program).values():
        whole = rng.integers(0, 2, view.shape)  # small, since they may be indices
        view[...] = whole if view.dtype.kind in "iub" else rng.uniform(0.1, 2, view.shape)


def assert_near(found: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray]) -> None:
    """Within 1e-5 of the largest number of each tensor."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        near = 1e-5 * float(np.abs(value).max(initial=0))
        np.testing.assert_allclose(found[name], value, 1e-5, near, err_msg=name)


def step(session: Session, number: int) -> dict[str, np.ndarray]:
    feed(session, "train", number)
    return session.run("train", seed=SEED, step=number)


@pytest.mark.parametrize("model", SMALL)
def test_steps_give_what_numpy_gives_in_any_order(model: str, seeded: Seeded) -> None:
    plan, device = plan_of(model), cuda_device()
    wanted = ready(plan, NumpyDevice())
    steps = [
        (step(wanted, number), {p: v.copy() for p, v in wanted.variables.items()})
        for number in range(1, STEPS + 1)]
    for seed in SEEDS:
        seeded(seed)
        found = ready(plan, device)
        for number, (outputs, variables) in enumerate(steps, 1):
            assert_near(step(found, number), outputs)
            assert_near(found.variables, variables)


@pytest.mark.parametrize("model", SMALL)
def test_first_values_are_those_of_numpy(model: str, seeded: Seeded) -> None:
    """Uniform numbers have the same bits; normal ones go through sines and logarithms."""
    plan = plan_of(model)
    found, wanted = (ready(plan, d) for d in (cuda_device(), NumpyDevice()))
    for path, value in found.variables.items():
        np.testing.assert_allclose(value, wanted.variables[path], 1e-6, 1e-7, err_msg=path)


def test_a_run_gives_the_same_bits_in_any_order(seeded: Seeded) -> None:
    plan, device = plan_of("char_lstm"), cuda_device()
    found = []
    for seed in (1, 2):
        seeded(seed)
        session = ready(plan, device)
        outputs = [step(session, number) for number in range(1, 4)]
        found.append((outputs, {p: v.copy() for p, v in session.variables.items()}))
    (first, kept), (second, others) = found
    np.testing.assert_equal(first, second)
    np.testing.assert_equal(kept, others)


def test_evaluation_and_prediction_give_what_numpy_gives(seeded: Seeded) -> None:
    plan = plan_of("lenet")
    sessions = [ready(plan, d) for d in (cuda_device(), NumpyDevice())]
    for program in ("evaluate", "predict"):
        for session in sessions:
            feed(session, program, 1)
        found, wanted = (session.run(program, seed=SEED) for session in sessions)
        assert_near(found, wanted)


def test_variables_may_be_written_between_steps(seeded: Seeded) -> None:
    plan = plan_of("fashion_mlp")
    sessions = [ready(plan, d) for d in (cuda_device(), NumpyDevice())]
    for session in sessions:
        step(session, 1)
        first = next(iter(session.variables))
        session.variables[first][...] *= 0.5
        step(session, 2)
    found, wanted = (session.variables for session in sessions)
    assert_near(found, wanted)


def test_a_loss_that_is_not_finite_changes_no_variable_and_is_blamed(seeded: Seeded) -> None:
    session = ready(plan_of("fashion_mlp"), cuda_device())
    path = next(p for p in session.variables if p.endswith("weight"))
    session.variables[path][0, 0] = np.inf
    before = {p: v.copy() for p, v in session.variables.items()}
    with pytest.raises(NonFinite, match=path):
        step(session, 1)
    np.testing.assert_equal(dict(session.variables), before)


def test_an_index_outside_is_refused_as_numpy_refuses_it(seeded: Seeded) -> None:
    plan = plan_of("gpt")
    said = []
    for device in (cuda_device(), NumpyDevice()):
        session = ready(plan, device)
        feed(session, "train", 1)
        session.inputs("train")["tokens"][0, 0] = 65
        before = {p: v.copy() for p, v in session.variables.items()}
        with pytest.raises(ExecutionError) as refused:
            session.run("train", seed=SEED, step=1)
        np.testing.assert_equal(dict(session.variables), before)
        said.append(refused.value.message)
    assert said[0] == said[1] and "65 is outside 0..64" in said[0]
