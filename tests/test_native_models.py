"""A step of training of each model that comes with flowc: machine code against NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import run
from safetensors.numpy import load_file
from zoo import FOLDER, SMALL, models, size_of

from flowc.diagnostic import Sink
from flowc.driver import Options, compile
from flowc.jobs import initialise
from flowc.source import Source
from flowc_runtime.backend import device_of
from flowc_runtime.executor import Session
from flowc_runtime.plan import Plan

pytest.importorskip("llvmlite", reason="no native device without the extra `native`")

from native_runs import assert_same_bits, share_all

EVERY_KIND = ("char_lstm", "fashion_mlp", "gpt", "lenet", "recommender", "vae")  # of instruction
OTHERS = {path.stem for path in FOLDER.glob("*.flow")} - {*EVERY_KIND}
BATCH, SEED = 4, 5


def plan_of(model: str) -> Plan:
    path = FOLDER / f"{model}.flow"
    options = Options(defines={"train.batch": str(BATCH), **SMALL.get(model, {})})
    return compile(Source(path.name, path.read_text(), path.parent), Sink(), options)[1]


def ready(plan: Plan, backend: str, threads: int = 1) -> Session:
    """Initialised, and fed with made-up examples."""
    session = Session(plan, threads, device_of(backend))
    initialise(session, SEED)
    rng = np.random.default_rng(SEED)
    for view in session.inputs("train").values():
        whole = rng.integers(0, 2, view.shape)  # small, since they may be indices
        view[...] = whole if view.dtype.kind in "iub" else rng.uniform(0.1, 2, view.shape)
    session.bind("train").set_system(SEED, 1)
    return session


@pytest.mark.parametrize("model", models())
def test_each_instruction_of_a_step_gives_what_numpy_gives(model: str) -> None:
    """With the operands that NumPy has there: what a network makes of a difference is its own."""
    plan = plan_of(model)
    if "train" not in plan.programs:
        pytest.skip("not to be trained")
    native, numpy = (ready(plan, backend).bind("train") for backend in ("native", "numpy"))
    buffers = numpy.program.buffers
    for number, instruction in enumerate(numpy.program.instructions):
        operands = [numpy.memory.view(buffers[k]) for k in instruction.operands]
        for k, operand in zip(instruction.operands, operands, strict=True):
            np.copyto(native.memory.view(buffers[k]), operand)
        size = size_of(instruction, operands, numpy.memory.view(buffers[instruction.results[0]]))
        with np.errstate(all="ignore"):
            for bound in (native, numpy):
                bound.run(number, number + 1)
        for k in instruction.results:
            found, wanted = native.memory.view(buffers[k]), numpy.memory.view(buffers[k])
            np.testing.assert_allclose(found, wanted, 2e-5, 2e-6 * size, err_msg=str(instruction))


def trained(plan: Plan, threads: int, steps: int) -> dict[str, np.ndarray]:
    """The variables after some steps of the same examples."""
    session = ready(plan, "native", threads)
    bound = session.bind("train")
    with np.errstate(all="ignore"):
        for step in range(steps):
            bound.set_system(SEED, step)
            bound.run(0, len(bound.program.instructions))
    return dict(session.variables)


@pytest.mark.parametrize("model", models(OTHERS))
def test_a_training_has_the_same_bits_whatever_number_of_threads(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_all(monkeypatch)
    plan = plan_of(model)
    if "train" not in plan.programs:
        pytest.skip("not to be trained")
    alone = trained(plan, 1, 4)
    for threads in (1, 2, 3):
        assert_same_bits(trained(plan, threads, 4), alone)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("model", ["spiral", "gan", "fashion_mlp", "lenet", "tagger"])
def test_ten_thousand_steps_of_two_threads_are_those_of_one(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    share_all(monkeypatch)
    plan = plan_of(model)
    assert_same_bits(trained(plan, 2, 10_000), trained(plan, 1, 10_000))


def test_the_command_trains_to_the_same_bits_whatever_number_of_threads(tmp_path: Path) -> None:
    outs = [tmp_path / str(threads) for threads in (1, 2, 3)]
    for threads, out in enumerate(outs, 1):
        done = run("train", FOLDER / "spiral.flow", "--backend", "native", "--threads", threads,
                   "--steps", "30", "--out", out)
        assert done.exit_code == 0, done.stderr
    (first, *others) = ([load_file(path) for path in sorted(out.rglob("*.safetensors"))]
                        for out in outs)
    assert first
    for other in others:
        for a, b in zip(first, other, strict=True):
            assert_same_bits(b, a)


def test_a_model_trains_and_is_measured_with_machine_code(tmp_path: Path) -> None:
    model, out = FOLDER / "spiral.flow", tmp_path / "run"
    done = run("train", model, "--backend", "native", "--steps", "20", "--out", out)
    assert done.exit_code == 0, done.stderr
    for backend in ("native", "numpy"):
        assert run("eval", model, "--weights", out, "--backend", backend).exit_code == 0
