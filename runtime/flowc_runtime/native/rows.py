"""Machine code of an expression kernel: nested loops over its rows, vectors along each row."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from llvmlite import ir

from flowc_runtime.blocking import Blocking
from flowc_runtime.expression import (
    ROW_COMBINES,
    ROW_OPS,
    Arg,
    Expression,
    Line,
    literal_dtype,
    row_identity,
)
from flowc_runtime.native.lanes import BYTE, BYTES, I64, Lanes, Value, loop, place_of
from flowc_runtime.native.lines import LINES, cast
from flowc_runtime.native.ranges import ENOUGH_PIECES, Range, at_most, pieces_of
from flowc_runtime.native.unit import Kernel, Unit, given
from flowc_runtime.phases import Form, Pass, Phases

CHAINS = 4  # sums of a row that go on side by side, since each addition waits for the last one
STRETCH = 2048  # elements of a row that is cut
NANOSECONDS = 0.1  # to read or write an element, about


@dataclass(frozen=True)
class ExpressionKernel(Kernel):
    """An expression whose lines all have machine code. Its places are those of the operands, the
    results, and a row of each spilled temporary, in this order."""

    expression: Expression
    walk: Blocking
    phases: Phases

    @property
    def places(self) -> tuple[str, ...]:
        operands = sorted((n for n in self.walk.dims if n[0] == "i"), key=lambda n: int(n[1:]))
        results = [f"o{k}" for k in range(self.expression.results)]
        return (*operands, *results, *self.phases.spilled)

    @property
    def spilled_bytes(self) -> tuple[int, ...]:
        length = self.walk.shape[-1]
        return tuple(length * BYTES[self.walk.types[n].dtype] for n in self.phases.spilled)

    @property
    def stretches(self) -> int:
        """Into how many a row is cut: one where its elements belong together, or rows suffice."""
        rows = self.walk.shape[:-1]
        (first, *later) = self.phases.passes
        together = bool(later or first.before or first.reductions)
        if together or pieces_of(rows) >= ENOUGH_PIECES:
            return 1
        return -(-self.walk.shape[-1] // STRETCH)

    @property
    def sizes(self) -> tuple[int, ...]:
        return (*self.walk.shape[:-1], self.stretches)

    @property
    def pieces(self) -> int:
        return pieces_of(self.sizes)

    @property
    def nanoseconds(self) -> float:
        moved = NANOSECONDS * len(self.places)
        known = [LINES[line.op].nanoseconds for line in self.expression.lines if line.op in LINES]
        return prod(self.walk.shape) * (moved + sum(known))

    def write(self, unit: Unit, b: ir.IRBuilder, pieces: Range) -> None:
        _Emitter(self, b, unit.lanes).run(pieces)


class _Emitter:
    """Writes one kernel where the builder stands."""

    def __init__(self, kernel: ExpressionKernel, b: ir.IRBuilder, lanes: int):
        self.kernel, self.walk, self.b = kernel, kernel.walk, b
        self.form = Form(kernel.walk)
        self.wide, self.plain = Lanes(b, lanes), Lanes(b, 1)
        self.bases = {name: given(b, k) for k, name in enumerate(kernel.places)}
        self.known: dict[str, Value] = {}  # plain values, of all rows or of this one
        self.rows: dict[str, Value] = {}  # where this row begins in each place
        self.ends: tuple[Value, Value] | None = None  # of the stretch of it, where it is cut

    def run(self, pieces: Range) -> None:
        self._load([n for n in self._operands() if self.form.single(n)], {})
        for line in self.kernel.phases.once:
            self.known[line.name] = self._value(self.plain, line, {})
        with pieces.nest(self.kernel.sizes) as (*at, stretch):
            if self.kernel.stretches > 1:
                first = self.b.mul(stretch, I64(STRETCH))
                last = self.b.add(first, I64(STRETCH))
                self.ends = first, at_most(self.b, last, I64(self.form.length))
            self._row(at)

    def _row(self, at: Sequence[Value]) -> None:
        self.rows = {name: self._row_of(name, at) for name in self.bases}
        row_values = [
            n for n in self._operands() if not self.form.full(n) and not self.form.single(n)]
        self._load(row_values, self.rows)
        for one in self.kernel.phases.passes:
            for line in one.before:
                self._know(line, self._value(self.plain, line, {}))
            self._pass(one)

    def _know(self, line: Line, value: Value) -> None:
        """A line's one element for this row; its tensor may want it for each element."""
        self.known[line.name] = value
        if line.name[0] != "o":
            return
        dtype, place = self.walk.types[line.name].dtype, self.rows[line.name]
        if not self.form.stored_full(line.name):
            self.plain.store(value, place, dtype)
            return
        for lanes, start, stop in self._parts(1):
            with loop(self.b, start, stop, lanes.count) as index:
                lanes.store(lanes.splat(value), place_of(self.b, place, dtype, index), dtype)

    # --- a pass over a row ----------------------------------------------------------------------

    def _pass(self, one: Pass) -> None:
        if not one.during:
            return
        chains = CHAINS if one.reductions and self._long() else 1
        sums: dict[str, list[tuple[Lanes, Value]]] = {line.name: [] for line in one.reductions}
        for lanes, start, stop in self._parts(chains):
            wide = chains > 1 and lanes.count > 1
            count = chains if wide and stop - start >= chains * lanes.count else 1
            held = [
                {line.name: self._accumulator(lanes, line) for line in one.reductions}
                for _ in range(count)
            ]
            with loop(self.b, start, stop, lanes.count * count) as index:
                for chain in range(count):
                    here = self.b.add(index, I64(chain * lanes.count)) if chain else index
                    self._elements(lanes, one, here, held[chain])
            for name in sums:
                sums[name] += [(lanes, chain[name]) for chain in held]
        for line in one.reductions:
            self._know(line, self._total(line, sums[line.name]))

    def _long(self) -> bool:
        return self.form.length >= CHAINS * self.wide.count

    def _parts(self, chains: int) -> Iterator[tuple[Lanes, Any, Any]]:
        """The stretches of a row, and with how many lanes each is done."""
        if self.ends is not None:
            yield from self._cut(*self.ends)
            return
        done = 0
        for lanes, step in (
            (self.wide, chains * self.wide.count), (self.wide, self.wide.count), (self.plain, 1)):
            stop = self.form.length - (self.form.length - done) % step
            if stop > done:
                yield lanes, done, stop
                done = stop

    def _cut(self, first: Value, last: Value) -> Iterator[tuple[Lanes, Value, Value]]:
        """Only the last stretch of a row may have a ragged end."""
        count = self.wide.count
        whole = self.b.sub(last, self.b.urem(self.b.sub(last, first), I64(count)))
        yield self.wide, first, whole
        if self.form.length % count:
            yield self.plain, whole, last

    def _elements(
        self, lanes: Lanes, one: Pass, index: Value, held: Mapping[str, Value]
    ) -> None:
        local: dict[str, Value] = {}
        for line in one.during:
            if line.op in ROW_OPS:
                self._add(lanes, line, self._read(lanes, line.reads[0], index, local), held)
                continue
            value = local[line.name] = self._value(lanes, line, local, index)
            if line.name in self.rows:  # a result, or a temporary that a later pass reads
                dtype = self.walk.types[line.name].dtype
                lanes.store(value, place_of(self.b, self.rows[line.name], dtype, index), dtype)

    def _value(
        self, lanes: Lanes, line: Line, local: dict[str, Value], index: Value | None = None
    ) -> Value:
        types = self.walk.types
        args = [self._argument(lanes, line, arg, local, index) for arg in line.args]
        if line.op == "cast":
            value = cast(lanes, args[0], types[line.reads[0]].dtype, types[line.name].dtype)
            assert value is not None
            return value
        return LINES[line.op].emit(lanes, args, literal_dtype(line, types))

    def _argument(
        self, lanes: Lanes, line: Line, arg: Arg, local: dict[str, Value], index: Value | None
    ) -> Value:
        if isinstance(arg, str):
            return self._read(lanes, arg, index, local)
        return lanes.number(literal_dtype(line, self.walk.types), arg)

    def _read(
        self, lanes: Lanes, name: str, index: Value | None, local: dict[str, Value]
    ) -> Value:
        """A name's value here: known for the row, made in this pass, or in memory."""
        if name in self.known:
            return lanes.splat(self.known[name])
        if name not in local:
            assert index is not None
            dtype = self.walk.types[name].dtype
            local[name] = lanes.load(place_of(self.b, self.rows[name], dtype, index), dtype)
        return local[name]

    # --- reductions -----------------------------------------------------------------------------

    def _accumulator(self, lanes: Lanes, line: Line) -> Value:
        dtype = self.walk.types[line.name].dtype
        with self.b.goto_entry_block():
            held = self.b.alloca(lanes.type(dtype))
        self.b.store(lanes.number(dtype, row_identity(line.op, dtype)), held)
        return held

    def _add(
        self, lanes: Lanes, line: Line, value: Value, held: Mapping[str, Value]
    ) -> None:
        dtype = self.walk.types[line.name].dtype
        before = self.b.load(held[line.name], typ=lanes.type(dtype))
        self.b.store(_combine(lanes, line.op, before, value, dtype), held[line.name])

    def _total(self, line: Line, sums: Sequence[tuple[Lanes, Value]]) -> Value:
        """Chain by chain, then half of the lanes with the other half, and at last the rest."""
        dtype = self.walk.types[line.name].dtype
        totals: dict[int, Value] = {}
        for lanes, held in sums:
            value = self.b.load(held, typ=lanes.type(dtype))
            known = totals.get(lanes.count)
            totals[lanes.count] = (
                value if known is None else _combine(lanes, line.op, known, value, dtype))
        found: Value | None = None
        for count, value in totals.items():
            lanes = Lanes(self.b, count)
            while lanes.count > 1:
                lanes, low, high = lanes.halves(value)
                value = _combine(lanes, line.op, low, high, dtype)
            found = value if found is None else _combine(lanes, line.op, found, value, dtype)
        assert found is not None
        return found

    # --- places ---------------------------------------------------------------------------------

    def _operands(self) -> list[str]:
        """Those that are read."""
        read = {n for line in self.kernel.expression.lines for n in line.reads}
        return [n for n in self.kernel.places if n[0] == "i" and n in read]

    def _load(self, names: Sequence[str], places: Mapping[str, Value]) -> None:
        for name in names:
            place = places.get(name, self.bases[name])
            self.known[name] = self.plain.load(place, self.walk.types[name].dtype)

    def _row_of(self, name: str, at: Sequence[Value]) -> Value:
        """Where a row of a place begins; a spilled temporary has one row only."""
        if name[0] == "t":
            return self.bases[name]
        dims = self.walk.dims[name]
        offset, stride = I64(0), dims[-1]
        for dim, number in reversed(list(zip(dims[:-1], at, strict=True))):
            if dim > 1:
                offset = self.b.add(offset, self.b.mul(number, I64(stride)))
            stride *= dim
        bytes = BYTES[self.walk.types[name].dtype]
        return self.b.gep(
            self.bases[name], [self.b.mul(offset, I64(bytes))], source_etype=BYTE)


def _combine(lanes: Lanes, op: str, a: Value, b: Value, dtype: str) -> Value:
    return LINES[ROW_COMBINES[op]].emit(lanes, [a, b], dtype)
