"""Machine code of a scan: its rounds, with what is copied in and out, without a way back to Python.

A body has code where all its instructions have. The places of a scan are, for each instruction of
the body, a table of the places of that one; then, in pairs, where each move reads and writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from llvmlite import ir

from flowc_runtime.memory import same_place
from flowc_runtime.native.lanes import I64, Value, loop, place_of
from flowc_runtime.native.moves import ELEMENTS, Move, move_of, unreal
from flowc_runtime.native.products import ProductTask
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.unit import Task, Unit, Writer
from flowc_runtime.plan import Buffer, Instruction, Program


@dataclass(frozen=True, slots=True)
class Each:
    """A move of each round; the steps are elements from one round to the next."""

    move: Move
    source_step: int = 0
    target_step: int = 0


@dataclass(frozen=True, slots=True)
class ScanTask(Writer):
    """All that the code of a scan depends on: what its body does, and what is moved when."""

    once: tuple[tuple[int, Task], ...]  # before all rounds, with the number of a body's table
    body: tuple[Task, ...]
    starts: tuple[Each, ...]
    fed: tuple[Each, ...]
    yielded: tuple[Each, ...]
    length: int
    reverse: bool

    def write(self, unit: Unit, b: ir.IRBuilder) -> None:
        tiles = Tiles(b, unit.lanes)
        moves = (*self.starts, *self.fed, *self.yielded)
        places = [
            (tiles.place(len(self.body) + 2 * k), tiles.place(len(self.body) + 2 * k + 1))
            for k in range(len(moves))
        ]
        pairs = list(zip(moves, places, strict=True))
        first, last = len(self.starts), len(self.starts) + len(self.fed)
        for each, (source, target) in pairs[:first]:
            each.move.emit(b, unit.lanes, source, target)
        for k, task in self.once:
            unit.call(b, task, tiles.place(k))
        with loop(b, 0, self.length) as count:
            round = b.sub(I64(self.length - 1), count) if self.reverse else count
            self._move(tiles, pairs[first:last], round)
            for k, task in enumerate(self.body):
                unit.call(b, task, tiles.place(k))
            self._move(tiles, pairs[last:], round)

    def _move(
        self, tiles: Tiles, pairs: Sequence[tuple[Each, tuple[Value, Value]]], round: Value
    ) -> None:
        for each, (source, target) in pairs:
            element = each.move.element
            source, target = (
                place_of(tiles.b, place, element, tiles.b.mul(round, I64(step)))
                for place, step in (
                    (source, each.source_step), (target, each.target_step)))
            each.move.emit(tiles.b, tiles.lanes, source, target)


@dataclass(frozen=True, slots=True)
class Ends:
    """The buffers that a scan's moves are between: (source, target) each, in order of the task's.
    """

    starts: tuple[tuple[Buffer, Buffer], ...]
    fed: tuple[tuple[Buffer, Buffer], ...]
    yielded: tuple[tuple[Buffer, Buffer], ...]


def ends_of(instruction: Instruction, buffers: Sequence[Buffer]) -> Ends:
    """As `numpy_device/scan.py` has them."""
    inside, attrs = _body(instruction), instruction.attrs
    sequences, carries = attrs["sequences"], attrs["carries"]
    operands = [buffers[k] for k in instruction.operands]
    results = [buffers[k] for k in instruction.results]
    ports = {p.name: inside.buffers[p.buffer] for p in inside.inputs}
    starts = zip(operands[sequences:], results[:carries], strict=False)
    return Ends(
        tuple((a, b) for a, b in starts if not same_place(a, b)),
        tuple((operands[k], ports[f"x{k}"]) for k in range(sequences) if f"x{k}" in ports),
        tuple(
            (inside.buffers[port.buffer], to)
            for to, port in zip(results[carries:], inside.outputs, strict=True)),
    )


def scan_task(
    instruction: Instruction, buffers: Sequence[Buffer], body: Sequence[Task | None]
) -> ScanTask | None:
    """None where an instruction of the body has no code, an element is of two bytes, or there are
    no rounds."""
    inside, attrs = _body(instruction), instruction.attrs
    ends = ends_of(instruction, buffers)
    tasks = [task for task in body if task is not None]
    pairs = (*ends.starts, *ends.fed, *ends.yielded)
    sizes = {b.type.storage.itemsize for pair in pairs for b in pair}
    if len(tasks) < len(body) or not sizes <= ELEMENTS.keys() or not attrs["length"]:
        return None
    ports = [p.name for p in inside.inputs]
    axes = [axis for k, axis in enumerate(attrs["axes"]) if f"x{k}" in ports]
    once, left = _prepared(inside, tasks)
    return ScanTask(
        once,
        left,
        tuple(Each(_between(unreal(a.type.sizes), unreal(b.type.sizes), a))
              for a, b in ends.starts),
        tuple(_fed(a, b, axis) for (a, b), axis in zip(ends.fed, axes, strict=True)),
        tuple(_yielded(a, b, axis)
              for (a, b), axis in zip(ends.yielded, attrs["yield_axes"], strict=True)),
        attrs["length"], bool(attrs["reverse"]))


def _prepared(
    body: Program, tasks: Sequence[Task]
) -> tuple[tuple[tuple[int, Task], ...], tuple[Task, ...]]:
    """What can be done before the rounds, and what is left to do in each."""
    changing = [body.buffers[k] for i in body.instructions for k in i.results]
    changing += [body.buffers[p.buffer] for p in body.inputs if p.name[0] in "xc"]
    once: list[tuple[int, Task]] = []
    left = list(tasks)
    for number, (instruction, task) in enumerate(zip(body.instructions, tasks, strict=True)):
        if isinstance(task, ProductTask) and (preparation := task.preparation) is not None:
            right = body.buffers[instruction.operands[1]]
            if not any(right.meets(other) for other in changing):
                once.append((number, preparation))
                left[number] = replace(task, prepared=True)
    return tuple(once), tuple(left)


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


def _body(instruction: Instruction) -> Program:
    assert instruction.body is not None
    return instruction.body
