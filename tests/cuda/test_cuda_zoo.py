"""Every instruction of a step of each model that comes with flowc: kernels against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from gpu_stand_in import cuda_device
from test_cuda_models import feed, plan_of, ready
from zoo import models, size_of

from flowc_runtime.executor import Bound
from flowc_runtime.numpy_device import NumpyDevice

# Inception-v3 takes the stand-in a quarter of an hour.
FEASIBLE = [model for model in models() if model.values != ("inception_v3",)]


@pytest.mark.parametrize("model", FEASIBLE)
def test_each_instruction_of_a_step_gives_what_numpy_gives(
    model: str, seeded: Callable[[int], None]
) -> None:
    """With the operands that NumPy has there: what a network makes of a difference is its own."""
    plan = plan_of(model)
    if "train" not in plan.programs:
        pytest.skip("not to be trained")
    sessions = [ready(plan, d) for d in (cuda_device(), NumpyDevice())]
    for session in sessions:
        feed(session, "train", 1)
        session.bind("train").set_system(5, 1)
    cuda, numpy = (session.bind("train") for session in sessions)
    for number in range(len(numpy.program.instructions)):
        compare(cuda, numpy, number)


def compare(cuda: Bound, numpy: Bound, number: int) -> None:
    """Both run one instruction; its operands are copied from NumPy's memory before."""
    instruction, buffers = numpy.program.instructions[number], numpy.program.buffers
    operands = [buffers[k] for k in instruction.operands]
    results = [buffers[k] for k in instruction.results]
    values = [numpy.memory.view(b) for b in operands]
    for buffer, value in zip(operands, values, strict=True):
        np.copyto(cuda.memory.view(buffer), value)
    size = size_of(instruction, values, numpy.memory.view(results[0]))
    gpu = cuda.run.memory  # type: ignore[attr-defined]
    with gpu.gpu.current():
        gpu.store(operands)
    with np.errstate(all="ignore"):
        for bound in (cuda, numpy):
            bound.run(number, number + 1)
    with gpu.gpu.current():
        gpu.fetch(results)
    for buffer in results:
        found, wanted = cuda.memory.view(buffer), numpy.memory.view(buffer)
        np.testing.assert_allclose(found, wanted, 2e-5, 2e-6 * size, err_msg=str(instruction))
