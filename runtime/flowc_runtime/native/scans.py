"""Machine code of a scan: its rounds, with what is copied in and out, without a way back to Python.

A body has code where all its instructions have. The places of a scan are two loops over steps, each
with its table: what is done once, and the body; a table of what stands elsewhere in each round;
then, in pairs, where each move reads and writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from llvmlite import ir

from flowc_runtime.memory import same_place
from flowc_runtime.native.lanes import I64, Value, loop, place_of
from flowc_runtime.native.moves import ELEMENTS, Move, move_of, unreal
from flowc_runtime.native.moving import MoveTask
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.sequences import pointer_to_run
from flowc_runtime.native.standing import Standing, standing_source, standing_target
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.unit import PLACES, Kernel, Task, Unit, Writer, given
from flowc_runtime.plan import Buffer, Instruction, Program

ONCE, BODY, STANDING, MOVES = 0, 2, 4, 5  # the numbers of places
WORDS = 3  # of an entry of what stands elsewhere: where its place is noted, the first, and the step


@dataclass(frozen=True, slots=True)
class Each:
    """A move of each round; the steps are elements from one round to the next."""

    move: Move
    source_step: int = 0
    target_step: int = 0


@dataclass(frozen=True, slots=True)
class ScanTask(Writer):
    """All that the code of a scan depends on: what is moved when."""

    starts: tuple[Each, ...]
    fed: tuple[Each, ...]
    yielded: tuple[Each, ...]
    length: int
    reverse: bool

    @property
    def pieces(self) -> int:
        return 1

    @property
    def nanoseconds(self) -> float:
        """Nothing that could be shared: the steps in it are for themselves."""
        return 0

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        tiles = Tiles(b, unit.lanes)
        moves = (*self.starts, *self.fed, *self.yielded)
        pairs = [
            (each, (tiles.place(MOVES + 2 * k), tiles.place(MOVES + 2 * k + 1)))
            for k, each in enumerate(moves)
        ]
        first, last = len(self.starts), len(self.starts) + len(self.fed)
        for each, (source, target) in pairs[:first]:
            each.move.emit(whole(b, each.move.pieces), unit.lanes, source, target)
        _run(tiles, ONCE)
        with loop(b, 0, self.length) as count:
            round = b.sub(I64(self.length - 1), count) if self.reverse else count
            _stand(tiles, round)
            self._move(tiles, pairs[first:last], round)
            _run(tiles, BODY)
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
            each.move.emit(whole(tiles.b, each.move.pieces), tiles.lanes, source, target)


def _stand(tiles: Tiles, round: Value) -> None:
    """Notes where in this round the elements are that are not copied."""
    b, table = tiles.b, tiles.place(STANDING)
    with loop(b, 0, b.load(table, typ=I64, align=8)) as k:
        entry = place_of(b, table, "i64", b.add(b.mul(k, I64(WORDS)), I64(1)))
        noted, first, step = (
            b.load(place_of(b, entry, "i64", I64(n)), typ=type, align=8)
            for n, type in enumerate((PLACES, I64, I64)))
        b.store(b.add(first, b.mul(round, step)), noted, align=8)


def _run(tiles: Tiles, number: int) -> None:
    """The steps of a table: the loop over them is the place of that number, the table the next."""
    tiles.b.call(given(tiles.b, number, pointer_to_run()), [tiles.place(number + 1)])


@dataclass(frozen=True, slots=True)
class Ends:
    """The buffers that a scan's moves are between: (source, target) each, in order of the task's,
    of sequences with the axis that is walked; and what is not moved."""

    starts: tuple[tuple[Buffer, Buffer], ...]
    fed: tuple[tuple[Buffer, Buffer, int], ...]
    yielded: tuple[tuple[Buffer, Buffer, int], ...]
    standing: tuple[Standing, ...]

    @property
    def moved(self) -> list[Buffer]:
        """One after the other."""
        pairs = (*self.starts, *(ends[:2] for ends in (*self.fed, *self.yielded)))
        return [buffer for pair in pairs for buffer in pair]


def ends_of(instruction: Instruction, buffers: Sequence[Buffer]) -> Ends:
    """As `numpy_device/scan.py` has them."""
    inside, attrs = _body(instruction), instruction.attrs
    sequences, carries = attrs["sequences"], attrs["carries"]
    operands = [buffers[k] for k in instruction.operands]
    results = [buffers[k] for k in instruction.results]
    ports = {p.name: inside.buffers[p.buffer] for p in inside.inputs}
    starts = zip(operands[sequences:], results[:carries], strict=False)
    fed = [
        (operands[k], ports[f"x{k}"], axis) for k, axis in enumerate(attrs["axes"])
        if f"x{k}" in ports
    ]
    yields = zip(inside.outputs, results[carries:], attrs["yield_axes"], strict=True)
    yielded = [(port.buffer, to, axis) for port, to, axis in yields]
    sources = [standing_source(inside, sequence, axis, x) for sequence, x, axis in fed]
    targets = [standing_target(inside, y, sequence, axis) for y, sequence, axis in yielded]
    return Ends(
        tuple((a, b) for a, b in starts if not same_place(a, b)),
        tuple(ends for ends, found in zip(fed, sources, strict=True) if found is None),
        tuple((inside.buffers[y], sequence, axis)
              for (y, sequence, axis), found in zip(yielded, targets, strict=True)
              if found is None),
        tuple(found for found in (*sources, *targets) if found is not None))


def scan_task(
    instruction: Instruction, buffers: Sequence[Buffer], body: Sequence[Task | None]
) -> ScanTask | None:
    """None where an instruction of the body has no code, an element is of two bytes, or there are
    no rounds."""
    attrs, ends = instruction.attrs, ends_of(instruction, buffers)
    sizes = {b.type.storage.itemsize for b in ends.moved}
    if None in body or not sizes <= ELEMENTS.keys() or not attrs["length"]:
        return None
    return ScanTask(
        tuple(Each(_between(unreal(a.type.sizes), unreal(b.type.sizes), a))
              for a, b in ends.starts),
        tuple(_fed(*each) for each in ends.fed),
        tuple(_yielded(*each) for each in ends.yielded),
        attrs["length"], bool(attrs["reverse"]))


def steady(body: Program, kernels: Sequence[Sequence[Kernel]]) -> frozenset[int]:
    """The instructions of a body whose preparations read only what stays as it is in all rounds.
    """
    changing = [body.buffers[k] for i in body.instructions for k in i.results]
    changing += [body.buffers[p.buffer] for p in body.inputs if p.name[0] in "xc"]
    found = set()
    for number, (instruction, (*before, _)) in enumerate(
        zip(body.instructions, kernels, strict=True)
    ):
        moves = [kernel for kernel in before if isinstance(kernel, MoveTask)]
        reads = [body.buffers[instruction.operands[k]] for m in moves for k, _ in m.moves]
        if moves and not any(read.meets(other) for read in reads for other in changing):
            found.add(number)
    return frozenset(found)


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
