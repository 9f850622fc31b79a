"""Machine code of pooling along one or two axes in f32, and of its gradients.

Window by window and tap by tap, the channels of a pixel as vectors; taps outside the image are
left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from llvmlite import ir

from flowc_runtime.native.lanes import I64, Lanes, Value, loop, place_of
from flowc_runtime.native.lines import LINES
from flowc_runtime.native.parts import Part
from flowc_runtime.native.ranges import Range, whole
from flowc_runtime.native.sliding import ONE, seen, sliding_of
from flowc_runtime.native.tiles import Tiles
from flowc_runtime.native.unit import Unit, Writer
from flowc_runtime.ops.window import Axis, axes_of
from flowc_runtime.plan import Buffer, Instruction

NANOSECONDS = 0.2  # of a pixel that a window sees, about


@dataclass(frozen=True, slots=True)
class PoolTask(Writer):
    """All that the code of an instruction depends on. `counted` is the padding along rows and
    columns that counts in a mean."""

    op: str
    images: int
    rows: Axis
    columns: Axis
    channels: int
    counted: tuple[tuple[int, int], tuple[int, int]]

    @property
    def length(self) -> int:
        """Pieces of an image: rows of windows, or all where windows may write to one pixel."""
        return 1 if self.op.endswith("_grad") else self.rows.steps

    @property
    def pieces(self) -> int:
        return self.images * self.length

    @property
    def nanoseconds(self) -> float:
        windows = self.images * self.rows.steps * self.columns.steps
        return NANOSECONDS * windows * self.rows.window * self.columns.window * self.channels

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        """Of the operands, then the result."""
        _EMITTERS[self.op](b, self, unit.lanes, pieces)


def pool_task(instruction: Instruction, buffers: Sequence[Buffer]) -> PoolTask | None:
    """None where there is no code: other dtypes, three axes, an empty batch."""
    attrs, types = instruction.attrs, [buffers[k].type for k in instruction.operands]
    result = buffers[instruction.results[0]].type
    image = result if instruction.op == "avg_pool_grad" else types[0]
    axes = axes_of(image.sizes, attrs["window"], attrs)
    if any(t.dtype != "f32" for t in (*types, result)) or len(axes) > 2 or not image.sizes[0]:
        return None
    rows, columns = axes if len(axes) == 2 else (ONE, *axes)
    counted = attrs.get("counted", ((0, 0),) * len(axes))
    first, second = counted if len(axes) == 2 else ((0, 0), *counted)
    return PoolTask(instruction.op, image.sizes[0], rows, columns, image.sizes[-1], (first, second))


# --- windows -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Window:
    """Some channels of one window: its number among all, and the taps that see its image."""

    part: Part
    first: Value  # the number of its first channel in the pooled images
    image: Value  # that of the image's first pixel, at the same channel
    row: Value
    column: Value


class _Pool(Tiles):
    """Walks over the windows of all images."""

    def __init__(self, b: ir.IRBuilder, task: PoolTask, lanes: int, pieces: Range):
        super().__init__(b, lanes)
        self.task, self.pieces = task, pieces
        self.width = task.columns.size * task.channels  # numbers of a row of pixels

    def windows(self, number: Value, some: Range) -> Iterator[Window]:
        """Those of some rows of an image, each for the channels of one register after the other.
        """
        task = self.task
        rows, columns, channels = task.rows, task.columns, task.channels
        pooled = rows.steps * columns.steps * channels
        with some.each() as p, loop(self.b, 0, columns.steps) as q:
            pixel = self.sum((number, pooled), (p, columns.steps * channels), (q, channels))
            image = self.b.mul(number, I64(rows.size * self.width))
            for first, parts in self.blocks(whole(self.b, channels), channels):
                for part in parts:
                    channel = self.b.add(first, I64(part.offset))
                    yield Window(
                        part, self.b.add(pixel, channel), self.b.add(image, channel), p, q)

    @contextmanager
    def taps(self, window: Window) -> Iterator[Value]:
        """The number of each pixel that the window sees, at its channels, row by row."""
        task = self.task
        with loop(self.b, *seen(self.b, sliding_of(task.rows), window.row)) as i:
            row = self._pixel(task.rows, window.row, i)
            with loop(self.b, *seen(self.b, sliding_of(task.columns), window.column)) as j:
                column = self._pixel(task.columns, window.column, j)
                yield self.b.add(
                    window.image, self.sum((row, self.width), (column, task.channels)))

    def _pixel(self, axis: Axis, position: Value, tap: Value) -> Value:
        at = self.sum((position, axis.stride), (tap, axis.dilation))
        return self.b.sub(at, I64(axis.before)) if axis.before else at

    def count(self, window: Window, lanes: Lanes) -> Value:
        """How many elements of the window count in its mean, as f32 in all lanes."""
        total = I64(1)
        for axis, position, sides in (
            (self.task.rows, window.row, self.task.counted[0]),
            (self.task.columns, window.column, self.task.counted[1]),
        ):
            first, stop = seen(self.b, sliding_of(axis), position, *sides)
            total = self.b.mul(total, self.b.sub(stop, first))
        return lanes.splat(self.b.sitofp(total, ir.FloatType()))

    def load(self, lanes: Lanes, base: Value, number: Value) -> Value:
        return lanes.load(place_of(self.b, base, "f32", number), "f32")

    def store(self, lanes: Lanes, value: Value, base: Value, number: Value) -> None:
        lanes.store(value, place_of(self.b, base, "f32", number), "f32")

    def add(self, lanes: Lanes, value: Value, base: Value, number: Value) -> None:
        before = self.load(lanes, base, number)
        self.store(lanes, self.b.fadd(before, value), base, number)

    def held(self, type: object) -> Value:
        """A register that changes from tap to tap."""
        with self.b.goto_entry_block():
            return self.b.alloca(type)

    def clear_image(self, base: Value, number: Value) -> None:
        count = self.task.rows.size * self.width
        self.clear(self.at(base, (number, count)), count)


# --- the four ops --------------------------------------------------------------------------------


def _combine(pool: _Pool, empty: float, line: str) -> Iterator[tuple[Window, Lanes, Value]]:
    """Each window with what its pixels come to."""
    x = pool.place(0)
    with pool.pieces.rows(pool.task.length) as (number, rows):
        for window in pool.windows(number, rows):
            lanes = Lanes(pool.b, window.part.lanes)
            held = pool.held(lanes.type("f32"))
            pool.b.store(lanes.number("f32", empty), held)
            with pool.taps(window) as pixel:
                before = pool.b.load(held, typ=lanes.type("f32"))
                both = [before, pool.load(lanes, x, pixel)]
                pool.b.store(LINES[line].emit(lanes, both, "f32"), held)
            yield window, lanes, pool.b.load(held, typ=lanes.type("f32"))


def _max_pool(b: ir.IRBuilder, task: PoolTask, lanes: int, pieces: Range) -> None:
    pool = _Pool(b, task, lanes, pieces)
    y = pool.place(1)
    for window, own, largest in _combine(pool, float("-inf"), "maximum"):
        pool.store(own, largest, y, window.first)


def _avg_pool(b: ir.IRBuilder, task: PoolTask, lanes: int, pieces: Range) -> None:
    pool = _Pool(b, task, lanes, pieces)
    y = pool.place(1)
    for window, own, total in _combine(pool, 0.0, "add"):
        pool.store(own, b.fdiv(total, pool.count(window, own)), y, window.first)


def _max_pool_grad(b: ir.IRBuilder, task: PoolTask, lanes: int, pieces: Range) -> None:
    """To the first pixel of a window that is its maximum; NaN is none."""
    pool = _Pool(b, task, lanes, pieces)
    x, y, g, out = (pool.place(k) for k in range(4))
    rows = whole(b, task.rows.steps)
    with pool.pieces.each() as number:
        pool.clear_image(out, number)
        for window in pool.windows(number, rows):
            own = Lanes(b, window.part.lanes)
            largest = pool.load(own, y, window.first)
            gradient = pool.load(own, g, window.first)
            left = pool.held(own.type("f32"))  # what no pixel has got yet
            b.store(gradient, left)
            with pool.taps(window) as pixel:
                meets = b.fcmp_ordered("==", pool.load(own, x, pixel), largest)
                before, nothing = b.load(left, typ=own.type("f32")), own.number("f32", 0)
                pool.add(own, b.select(meets, before, nothing), out, pixel)
                b.store(b.select(meets, nothing, before), left)


def _avg_pool_grad(b: ir.IRBuilder, task: PoolTask, lanes: int, pieces: Range) -> None:
    pool = _Pool(b, task, lanes, pieces)
    g, out = pool.place(0), pool.place(1)
    rows = whole(b, task.rows.steps)
    with pool.pieces.each() as number:
        pool.clear_image(out, number)
        for window in pool.windows(number, rows):
            own = Lanes(b, window.part.lanes)
            share = b.fdiv(pool.load(own, g, window.first), pool.count(window, own))
            with pool.taps(window) as pixel:
                pool.add(own, share, out, pixel)


_EMITTERS: dict[str, Callable[[ir.IRBuilder, PoolTask, int, Range], None]] = {
    "max_pool": _max_pool,
    "max_pool_grad": _max_pool_grad,
    "avg_pool": _avg_pool,
    "avg_pool_grad": _avg_pool_grad,
}
