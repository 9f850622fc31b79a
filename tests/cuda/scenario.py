"""What is run while something is wrong: sums of inputs, and some steps of a model."""

from __future__ import annotations

import numpy as np
from gpu_stand_in import cuda_device, set_seed
from test_cuda_models import plan_of, ready, step

from flowc_runtime.device import ExecutionError
from flowc_runtime.executor import Session
from flowc_runtime.numpy_device import NumpyDevice
from flowc_runtime.plan import Buffer, Instruction, Plan, Port, Program, Variable
from flowc_runtime.types import TensorType

COUNT = 40
VECTOR = TensorType("f32", (COUNT,))


def summing() -> Plan:
    """Adds its input to one variable and takes it from another, which can be done side by side.
    No output: the host does not wait for a run to end."""
    total, less = Buffer("variables", 0, VECTOR), Buffer("variables", 192, VECTOR)
    x = Buffer("arena", 0, VECTOR)
    adding = {"lines": ("o0 = add(i0, i1)",), "shape": (COUNT,)}
    taking = {"lines": ("o0 = sub(i0, i1)",), "shape": (COUNT,)}
    instructions = (
        Instruction("fused", (0, 2), (0,), adding), Instruction("fused", (1, 2), (1,), taking))
    program = Program("train", {}, (total, less, x), (Port("x", 2),), (), instructions, 192, 0)
    variables = (
        Variable("total", "param", VECTOR, 0), Variable("less", "param", VECTOR, 192))
    return Plan("m", "0" * 64, variables, 384, (), 0, {"train": program})


def differs(seed: int) -> bool:
    """From what NumPy gives, where everything goes in an order drawn from the seed."""
    set_seed(seed)
    return _sums_differ() or _steps_differ()


def _sums_differ() -> bool:
    session = Session(summing(), device=cuda_device())
    for number in range(1, 8):
        session.inputs("train")["x"][...] = number
        session.run("train")
    found = session.variables
    return not ((found["total"] == 28).all() and (found["less"] == -28).all())


def _steps_differ() -> bool:
    plan = plan_of("fashion_mlp")
    found, wanted = (ready(plan, d) for d in (cuda_device(), NumpyDevice()))
    for number in range(1, 5):
        others = step(wanted, number)
        try:
            outputs = step(found, number)
        except ExecutionError:  # NumPy has met nothing that it refuses
            return True
        if not _close(outputs["loss"], others["loss"]):
            return True
    return not all(_close(v, wanted.variables[p]) for p, v in found.variables.items())


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return np.allclose(a, b, 1e-5, 1e-5)
