"""The cost model: seconds of instructions and programs, and where each figure comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from flowc.costs.calibration import NOTHING, Calibration, Meeting, Seconds, default_calibration
from flowc.costs.signature import reading_signature, signature
from flowc.costs.work import Work, adding, copying, works_of
from flowc_runtime.plan import Buffer, Instruction, Program

# Of a figure: this very instruction was measured, or its kind was, or nothing on this host.
Source = Literal["measured", "fitted", "assumed"]
SOURCES: tuple[Source, ...] = ("measured", "fitted", "assumed")


@dataclass(frozen=True)
class Cost:
    """Seconds, and how much of them (alone) is from which source."""

    seconds: Seconds
    shares: tuple[float, float, float]  # in the order of SOURCES

    def __add__(self, other: Cost) -> Cost:
        shares = tuple(a + b for a, b in zip(self.shares, other.shares, strict=True))
        return Cost(self.seconds + other.seconds, shares)  # type: ignore[arg-type]

    @classmethod
    def none(cls) -> Cost:
        return cls(NOTHING, (0.0, 0.0, 0.0))


class CostModel:
    """What a device needs, by its calibration, which is None where nothing was measured."""

    def __init__(self, calibration: Calibration | None = None):
        self.calibrated = calibration is not None
        self.calibration = calibration or default_calibration()
        self._known: dict[str, Cost] = {}

    def instruction(self, instruction: Instruction, buffers: Sequence[Buffer]) -> Cost:
        """One execution of an instruction whose buffers are these."""
        name = signature(instruction, buffers)
        if name not in self._known:
            self._known[name] = self._instruction(name, instruction, buffers)
        return self._known[name]

    def program(self, program: Program, start: int = 0, stop: int | None = None) -> Cost:
        """Some instructions of a program, or all."""
        total = Cost.none()
        for instruction in program.instructions[start:stop]:
            total += self.instruction(instruction, program.buffers)
        return total

    def reading(self, model: str, program: Program) -> Cost:
        """Filling the inputs of a program with examples."""
        name = reading_signature(model, program)
        found = self.calibration.readings.get(name)
        if found is not None:
            return _cost(found, "measured")
        bytes = sum(
            program.buffers[p.buffer].type.bytes for p in program.inputs
            if p.name not in ("seed", "step")
        )
        return self._of(self.calibration.reading.of(Work("read", bytes=bytes)))

    def copying(self, bytes: int, tensors: int) -> Seconds:
        """Tensors of so many bytes from one place to another."""
        return self.work(copying(bytes, tensors)).seconds

    def adding(self, bytes: int, tensors: int) -> Seconds:
        """Tensors of so many bytes to others."""
        return self.work(adding(bytes, tensors)).seconds

    def work(self, work: Work) -> Cost:
        """By the rates of its kind; where there are none, those of copies."""
        rates = self.calibration.rates.get(work.key)
        source: Source = "fitted" if rates is not None and self.calibrated else "assumed"
        if rates is None:
            assumed = default_calibration().rates
            rates = assumed.get(work.key, assumed["copy"])
        extra = (self.calibration.mixing - 1) * rates.seconds[0] * work.calls
        return self._of(rates.of(work) + extra, source)

    @property
    def loop(self) -> Seconds:
        """What the training loop of one process adds to a step."""
        alone = self.calibration.loop_seconds
        return Seconds(alone, alone * self.calibration.crowding)

    @property
    def operation(self) -> Seconds:
        """What a task adds to each operation of its step."""
        alone = self.calibration.operation_seconds
        return Seconds(alone, alone * self.calibration.crowding)

    @property
    def meeting(self) -> Meeting:
        """What it costs tasks of the host to meet."""
        return self.calibration.meeting

    def _instruction(
        self, name: str, instruction: Instruction, buffers: Sequence[Buffer]
    ) -> Cost:
        found = self.calibration.instructions.get(name)
        if found is not None:
            return _cost(found, "measured")
        total = Cost.none()
        for work in works_of(instruction, buffers):
            total += self.work(work)
        return total

    def _of(self, alone: float, source: Source | None = None) -> Cost:
        source = source or ("fitted" if self.calibrated else "assumed")
        return _cost(Seconds(alone, alone * self.calibration.crowding), source)


def _cost(seconds: Seconds, source: Source) -> Cost:
    measured, fitted, assumed = (seconds.alone if s == source else 0.0 for s in SOURCES)
    return Cost(seconds, (measured, fitted, assumed))
