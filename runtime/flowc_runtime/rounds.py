"""What a scan moves: its first carries, and in each round what its body reads and yields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from flowc_runtime.memory import same_place
from flowc_runtime.moves import ELEMENTS, Move, move_of, unreal
from flowc_runtime.plan import Buffer, Instruction, Program


@dataclass(frozen=True, slots=True)
class Each:
    """A move of each round; the steps are elements from one round to the next."""

    move: Move
    source_step: int = 0
    target_step: int = 0


@dataclass(frozen=True, slots=True)
class Ends:
    """The buffers that a scan's moves are between: (source, target) each, in the order of Rounds;
    of sequences with the axis that is walked."""

    starts: tuple[tuple[Buffer, Buffer], ...]
    fed: tuple[tuple[Buffer, Buffer, int], ...]
    yielded: tuple[tuple[Buffer, Buffer, int], ...]

    @property
    def buffers(self) -> list[Buffer]:
        """All of them, the source of each before its target."""
        pairs = (*self.starts, *(ends[:2] for ends in (*self.fed, *self.yielded)))
        return [buffer for pair in pairs for buffer in pair]


@dataclass(frozen=True, slots=True)
class Rounds:
    """The moves of a scan: before all rounds, before each, after each."""

    starts: tuple[Each, ...]
    fed: tuple[Each, ...]
    yielded: tuple[Each, ...]


def ends_of(instruction: Instruction, buffers: Sequence[Buffer]) -> Ends:
    """As `numpy_device/scan.py` has them."""
    inside, attrs = body_of(instruction), instruction.attrs
    sequences, carries = attrs["sequences"], attrs["carries"]
    operands = [buffers[k] for k in instruction.operands]
    results = [buffers[k] for k in instruction.results]
    ports = {p.name: inside.buffers[p.buffer] for p in inside.inputs}
    starts = zip(operands[sequences:], results[:carries], strict=False)
    return Ends(
        tuple((a, b) for a, b in starts if not same_place(a, b)),
        tuple((operands[k], ports[f"x{k}"], axis) for k, axis in enumerate(attrs["axes"])
              if f"x{k}" in ports),
        tuple(
            (inside.buffers[port.buffer], to, axis)
            for to, port, axis in zip(
                results[carries:], inside.outputs, attrs["yield_axes"], strict=True)),
    )


def rounds_of(instruction: Instruction, ends: Ends) -> Rounds | None:
    """None where an element is of two bytes, or there are no rounds."""
    sizes = {b.type.storage.itemsize for b in ends.buffers}
    if not sizes <= ELEMENTS.keys() or not instruction.attrs["length"]:
        return None
    return Rounds(
        tuple(Each(_between(unreal(a.type.sizes), unreal(b.type.sizes), a))
              for a, b in ends.starts),
        tuple(_fed(*each) for each in ends.fed),
        tuple(_yielded(*each) for each in ends.yielded))


def body_of(instruction: Instruction) -> Program:
    assert instruction.body is not None
    return instruction.body


def _fed(sequence: Buffer, x: Buffer, axis: int) -> Each:
    rounds = np.moveaxis(unreal(sequence.type.sizes), axis, 0)
    return Each(
        _between(rounds[0, ...], unreal(x.type.sizes), x), source_step=rounds.strides[0])


def _yielded(y: Buffer, stacked: Buffer, axis: int) -> Each:
    rounds = np.moveaxis(unreal(stacked.type.sizes), axis, 0)
    return Each(
        _between(unreal(y.type.sizes), rounds[0, ...], y), target_step=rounds.strides[0])


def _between(source: np.ndarray, target: np.ndarray, buffer: Buffer) -> Move:
    return move_of(source, target, ELEMENTS[buffer.type.storage.itemsize])
