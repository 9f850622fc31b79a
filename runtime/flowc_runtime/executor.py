"""Sessions: a plan in memory, its programs ready to run."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from types import MappingProxyType

import numpy as np

from flowc_runtime.blame import find_non_finite
from flowc_runtime.device import Device, ExecutionError, NonFinite, Run
from flowc_runtime.memory import HostMemory
from flowc_runtime.numpy_device import NumpyDevice
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Buffer, Plan, Program

__all__ = ["Bound", "ExecutionError", "NonFinite", "Session"]

GUARD = "loss"  # the output that must be finite before a run changes a variable


class Session:
    """One plan on one device: its memory, and its programs bound at their first run.

    `threads` is how many threads the device may use in this process; None leaves that alone.
    """

    def __init__(self, plan: Plan, threads: int | None = 1, device: Device | None = None):
        self.plan = plan
        self.device: Device = device or NumpyDevice()
        if threads is not None:
            self.device.use_threads(threads)
        self._memory = HostMemory(plan)
        self._lanes = [self._memory]
        self._bound: dict[tuple[str, int], Bound] = {}
        self._variables: Mapping[str, Array] = MappingProxyType(
            {
                v.path: self._memory.view(Buffer("variables", v.offset, v.type))
                for v in plan.variables
            }
        )

    @property
    def variables(self) -> Mapping[str, Array]:
        """The variables by path: views, so writing into one (`[...] = `) sets it.

        They are good until the next run; whoever looks later asks again.
        """
        self.device.settle(self._memory)
        return self._variables

    def inputs(self, program: str) -> Mapping[str, Array]:
        """The inputs to be filled before a run, by name.

        They are views into the arena, which all programs share: after a run of another program
        they hold anything.
        """
        return self.bind(program).inputs

    def run(self, program: str, *, seed: int = 0, step: int = 0) -> dict[str, Array]:
        """Runs a program on the inputs as they are filled, and returns copies of its outputs.

        `seed` and `step` are what its random values and schedules depend on. Raises NonFinite
        if its `loss` is infinite or NaN, and ExecutionError if the data must be refused; in both
        cases no variable has changed.
        """
        bound = self.bind(program)
        bound.set_system(seed, step)
        with np.errstate(all="ignore"):
            bound.run(0, bound.program.commit)
            self.check_loss(bound)
            bound.run(bound.program.commit, len(bound.program.instructions))
        return {name: view.copy() for name, view in bound.outputs.items()}

    def load(self, values: Mapping[str, Array]) -> None:
        """Sets variables by path, all or, if one does not fit, none (ValueError)."""
        variables = self.variables
        for path, value in values.items():
            if path not in variables:
                raise ValueError(f"the plan has no variable `{path}`")
            held = variables[path]
            if (value.dtype, value.shape) != (held.dtype, held.shape):
                raise ValueError(
                    f"`{path}` is {held.dtype}{list(held.shape)}, "
                    f"not {value.dtype}{list(value.shape)}"
                )
        for path, value in values.items():
            np.copyto(variables[path], value)

    def check_loss(self, bound: Bound) -> None:
        """Raises NonFinite where the program's loss is infinite or NaN.

        The program has run up to its loss at least; it is run again to find who is to blame.
        """
        if bound.guard is not None and not isfinite(bound.guard):
            raise find_non_finite(self.plan, bound.program, bound.run.on_host, bound.memory)

    def bind(self, name: str, lane: int = 0) -> Bound:
        """The program ready to run piece by piece.

        Each lane has an arena of its own, so that a run in one may be half done while another
        goes on; variables and constants are the same.
        """
        if name not in self.plan.programs:
            known = ", ".join(self.plan.programs)
            raise ValueError(f"the plan has no program `{name}`, only {known}")
        if (name, lane) not in self._bound:
            while len(self._lanes) <= lane:
                self._lanes.append(self._memory.sibling())
            memory = self._lanes[lane]
            self._bound[name, lane] = Bound(self.plan.programs[name], memory, self.device)
        return self._bound[name, lane]


class Bound:
    """A program ready to run, and views of what goes in and comes out.

    `run(start, stop)` runs some of its instructions.
    """

    def __init__(self, program: Program, memory: HostMemory, device: Device):
        self.program = program
        self.memory = memory
        self.run: Run = device.bind(program, memory)
        views = {p.name: memory.view(program.buffers[p.buffer]) for p in program.inputs}
        self.system = {name: views.pop(name) for name in ("seed", "step") if name in views}
        self.inputs: Mapping[str, Array] = MappingProxyType(views)
        self.outputs = {p.name: memory.view(program.buffers[p.buffer]) for p in program.outputs}
        loss = self.outputs.get(GUARD)
        self.guard = loss if loss is not None and loss.dtype.kind == "f" else None

    def set_system(self, seed: int, step: int) -> None:
        for name, value in (("seed", seed), ("step", step)):
            if name in self.system:
                self.system[name][...] = value
