"""What a backend must offer: it turns a program over a memory into something that runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from flowc_runtime.memory import HostMemory
from flowc_runtime.ops.op import Array
from flowc_runtime.plan import Instruction, Program


class BackendError(Exception):
    """A backend is not to be had here. `code` is one of `backend.CODES`."""

    def __init__(self, code: str, message: str, help: str | None = None):
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


class ExecutionError(Exception):
    """An instruction met data that it must refuse.

    `op` is its op, `at` the `file:line:column` of the author's text (or empty), `path` the names
    that it lies under, `detail` what was wrong. `step` is the number of the step, where whoever
    raises it knows better than who asked for steps. `code` is among those of the training.
    """

    code = "bad-value"
    help: str | None = None

    def __init__(self, op: str, at: str, path: str, detail: str, step: int | None = None):
        self.op, self.at, self.path, self.detail, self.step = op, at, path, detail, step
        place = "".join((f"{at}: " if at else "", op, f" in {path}" if path else ""))
        self.message = f"{place}: {detail}"
        super().__init__(self.message)

    @classmethod
    def of(cls, instruction: Instruction, detail: str) -> ExecutionError:
        return cls(instruction.op, instruction.at, instruction.path, detail)


class NonFinite(ExecutionError):
    """The loss became infinite or NaN; this is the first instruction that was to blame."""

    code = "not-finite"


class Loop(Protocol):
    """A bound scan, round by round, for those who look inside. `begin` fills what a round reads,
    `body` runs it, `end` stores what it yields; rounds are walked in the order of `rounds`."""

    @property
    def rounds(self) -> range: ...
    @property
    def body(self) -> Run: ...
    def enter(self) -> None: ...
    def begin(self, round: int) -> None: ...
    def end(self, round: int) -> None: ...


class Run(Protocol):
    """A bound program. It reads the inputs in the host's memory when its first instruction runs,
    and puts the outputs there."""

    def __call__(self, start: int, stop: int) -> None:
        """Runs the instructions from `start` up to `stop`; raises ExecutionError."""
        ...

    def into(self, places: Mapping[int, Array]) -> Run:
        """The same with some results elsewhere, by number of their buffers.

        Nothing may read these, and their instructions nothing that lies in the same bytes.
        """
        ...

    def loop(self, index: int) -> Loop:
        """The loop of the scan that is instruction number `index`."""
        ...

    @property
    def on_host(self) -> Run:
        """The same on the memory of the host, for those who look inside: of the inputs and the
        variables as they are, from the first instruction on."""
        ...


class Device(Protocol):
    """A backend. It computes on the host's memory, or on one of its own of the same plan."""

    @property
    def name(self) -> str: ...

    def use_threads(self, count: int) -> None:
        """How many may compute with what is bound from now on, and with NumPy at any time."""
        ...

    def bind(self, program: Program, memory: HostMemory) -> Run:
        """Prepares all calls once, so that a run allocates nothing large."""
        ...

    def settle(self, memory: HostMemory) -> None:
        """The variables in the host's memory are those after the last run when this returns;
        the next run begins with what they are then."""
        ...

    def runs_on(self, program: Program) -> tuple[str, ...]:
        """For each instruction the backend whose code carries it out: `numpy`, or for a scan some
        of whose body has other code, as `native+numpy`."""
        ...
