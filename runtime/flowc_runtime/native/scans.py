"""Machine code of a scan: its rounds, with what is copied in and out, without a way back to Python.

A body has code where all its instructions have. The places of a scan are, for each instruction of
the body, a table of the places of that one; then, in pairs, where each move reads and writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Value, loop, place_of
from flowc_runtime.native.moves import emit_move
from flowc_runtime.native.products import ProductTask
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.unit import Task, Unit, Writer
from flowc_runtime.plan import Buffer, Instruction, Program
from flowc_runtime.rounds import Each, body_of, ends_of, rounds_of


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
            emit_move(b, unit.lanes, each.move, source, target)
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
            emit_move(tiles.b, tiles.lanes, each.move, source, target)


def scan_task(
    instruction: Instruction, buffers: Sequence[Buffer], body: Sequence[Task | None]
) -> ScanTask | None:
    """None where an instruction of the body has no code, or the moves have none."""
    tasks = [task for task in body if task is not None]
    rounds = rounds_of(instruction, ends_of(instruction, buffers))
    if len(tasks) < len(body) or rounds is None:
        return None
    once, left = _prepared(body_of(instruction), tasks)
    return ScanTask(
        once, left, rounds.starts, rounds.fed, rounds.yielded,
        instruction.attrs["length"], bool(instruction.attrs["reverse"]))


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
