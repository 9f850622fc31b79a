"""Machine code of a scan: its rounds, with what is copied in and out, without a way back to Python.

A body has code where all its instructions have. The places of a scan are two loops over steps, each
with its table: what is done once, and the body; a table of what stands elsewhere in each round;
then, in pairs, where each move reads and writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Value, loop, place_of
from flowc_runtime.native.moves import Copying
from flowc_runtime.native.moving import MoveTask
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.sequences import pointer_to_run
from flowc_runtime.native.standing import left_to_move
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.unit import PLACES, Kernel, Task, Unit, Writer, given
from flowc_runtime.plan import Buffer, Instruction, Program
from flowc_runtime.rounds import Each, ends_of, rounds_of

ONCE, BODY, STANDING, MOVES = 0, 2, 4, 5  # the numbers of places
WORDS = 3  # of an entry of what stands elsewhere: where its place is noted, the first, and the step


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
            _copy(tiles, each, source, target)
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
            _copy(tiles, each, source, target)


def _copy(tiles: Tiles, each: Each, source: Value, target: Value) -> None:
    copying = Copying(each.move)
    copying.emit(whole(tiles.b, copying.pieces), tiles.lanes, source, target)


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


def scan_task(
    instruction: Instruction, buffers: Sequence[Buffer], body: Sequence[Task | None]
) -> ScanTask | None:
    """None where an instruction of the body has no code, or the moves have none."""
    rounds = rounds_of(instruction, left_to_move(instruction, ends_of(instruction, buffers))[0])
    if None in body or rounds is None:
        return None
    return ScanTask(
        rounds.starts, rounds.fed, rounds.yielded,
        instruction.attrs["length"], bool(instruction.attrs["reverse"]))


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
