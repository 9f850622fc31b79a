"""Kernels of expressions: a thread for each element, or some lanes for each row.

A row whose sum is asked for is walked by lanes side by side: one warp or a part of it for short
rows, a block for long ones. What a later pass over the row reads stays with the lane that made it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from flowc_runtime.blocking import Blocking, blocking
from flowc_runtime.cuda.kernel import Kernel, Launch, each_element, own_element, parameters_of
from flowc_runtime.cuda.lines import LINES, value_text
from flowc_runtime.cuda.reductions import WARP, Over, lanes_for, over_lanes, reduces
from flowc_runtime.cuda.text import (
    TYPES,
    indented,
    number,
    offset,
    positions,
    strides_of,
)
from flowc_runtime.expression import (
    ROW_NAMES,
    ROW_OPS,
    Expression,
    Line,
    literal_dtype,
    parse_expression,
)
from flowc_runtime.phases import Form, Pass, phases
from flowc_runtime.plan import Buffer, Instruction
from flowc_runtime.types import TensorType

ROW_THREADS = 128  # of a block that holds several rows
MOST_UNROLLED = 16  # elements of a lane, so that what it keeps lies in registers
MOST_KEPT = 1024  # elements of a lane that it may keep at all



def fused_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    """None where a line has no code, or a result's bytes are an operand's, but not element by
    element."""
    operands = [buffers[k] for k in instruction.operands]
    results = [buffers[k] for k in instruction.results]
    if _crossed(operands, results):
        return None
    lines, shape = instruction.attrs["lines"], instruction.attrs["shape"]
    return _launches(lines, shape, operands, results, tuple(b.type for b in results))


def elementwise_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    """As for a fused instruction of one line."""
    names = tuple(f"i{k}" for k in range(len(instruction.operands)))
    line = str(Line("o0", instruction.op, names, instruction.attrs))
    shape = buffers[instruction.results[0]].type.sizes
    return fused_launches(replace(instruction, attrs={"lines": (line,), "shape": shape}), buffers)


def row_launches(
    instruction: Instruction, buffers: Sequence[Buffer]
) -> tuple[Launch, ...] | None:
    """A reduction along the last axis, in the order in which a fused instruction has it: another
    plan of the same model may have put it into one. None for other axes."""
    x, result = buffers[instruction.operands[0]], buffers[instruction.results[0]]
    if tuple(instruction.attrs["axes"]) != (x.type.rank - 1,):
        return None
    line = f"o0 = {ROW_NAMES[instruction.op]}(i0)"
    kept = TensorType(result.type.dtype, (*x.type.shape[:-1], 1))
    return _launches((line,), x.type.sizes, [x], [result], (kept,))


def _launches(
    lines: Sequence[str], shape: Sequence[int], operands: list[Buffer], results: list[Buffer],
    stored: tuple[TensorType, ...],
) -> tuple[Launch, ...] | None:
    expression = parse_expression(lines)
    walk = blocking(expression, tuple(b.type for b in operands), stored, shape)
    form = Form(walk)
    if any(form.spread(f"o{k}") for k in range(len(stored))):
        return None
    if not all(_has_code(line, walk) for line in expression.lines):
        return None
    parameters = parameters_of(operands, results)
    flat = all(walk.dims[f"o{k}"] == walk.shape for k in range(len(stored)))
    if flat and not any(line.op in ROW_OPS for line in expression.lines):
        kernel = Kernel(parameters, tuple(_flat(expression, walk)))
        blocks = each_element(prod(walk.shape))
    else:
        rows = _Rows(expression, walk, form)
        if rows.kept and rows.each > MOST_KEPT:
            return None
        kernel = Kernel(parameters, tuple(rows.lines()), rows.threads, rows.helpers)
        blocks = -(-prod(form.rows) // rows.together)
    return (Launch(kernel, (*operands, *results), blocks),)


def _crossed(operands: Sequence[Buffer], results: Sequence[Buffer]) -> bool:
    """Whether a result meets an operand otherwise than element by element."""
    return any(
        r.meets(o) and (r.offset, r.type) != (o.offset, o.type)
        for r in results for o in operands)


def _has_code(line: Line, walk: Blocking) -> bool:
    types = walk.types
    dtypes = [types[n].dtype for n in (line.name, *line.reads)]
    if not set(dtypes) <= TYPES.keys():
        return False
    if line.op in ROW_OPS:
        return reduces(types[line.name].dtype)
    return line.op in LINES and literal_dtype(line, types) in LINES[line.op].dtypes


def _value(line: Line, walk: Blocking) -> str:
    """The declaration of a line's value."""
    dtype = literal_dtype(line, walk.types)
    args = [a if isinstance(a, str) else number(dtype, a) for a in line.args]
    own = walk.types[line.name].dtype
    return f"const {TYPES[own]} {line.name} = {value_text(line.op, args, own)};"


def _flat(expression: Expression, walk: Blocking) -> Iterator[str]:
    """A thread for each element of the iteration shape."""
    yield from own_element(prod(walk.shape))
    yield from positions("a", "at", walk.shape)
    for name in dict.fromkeys(n for line in expression.lines for n in line.reads if n[0] == "i"):
        place = offset("a", strides_of(walk.dims[name]))
        yield f"const {TYPES[walk.types[name].dtype]} {name} = {name.upper()}[{place}];"
    for line in expression.lines:
        yield _value(line, walk)
        if line.name[0] == "o":
            yield f"{line.name.upper()}[at] = {line.name};"


class _Rows:
    """Writes a kernel that walks rows: `lanes` for each, `together` rows in a block."""

    def __init__(self, expression: Expression, walk: Blocking, form: Form):
        self.expression, self.walk, self.form = expression, walk, form
        self.phases = phases(expression, form)
        self.lanes = lanes_for(form.length)
        self.together = max(1, ROW_THREADS // self.lanes)
        self.threads = self.lanes * self.together
        self.each = -(-form.length // self.lanes)
        self.kept = self.phases.spilled
        self.known: set[str] = set()  # values of all rows, or of this one

    @property
    def helpers(self) -> tuple[str, ...]:
        found = [line for line in self.expression.lines if line.op in ROW_OPS]
        return tuple(self._over(line).helper for line in found)

    def lines(self) -> Iterator[str]:
        rows = prod(self.form.rows)
        yield f"const unsigned row = blockIdx.x * {self.together}u + threadIdx.x / {self.lanes}u;"
        yield f"const unsigned lane = threadIdx.x % {self.lanes}u;"
        yield f"const bool live = row < {rows}u;"
        yield from positions("a", "row", self.form.rows)
        yield from self._row_operands()
        for line in self.phases.once:
            yield from self._know(line)
        for name in self.kept:
            yield f"{TYPES[self._dtype(name)]} {name}_kept[{self.each}];"
        for one in self.phases.passes:
            for line in one.before:
                yield from self._know(line)
            if one.during:
                yield from self._pass(one)

    def _row_operands(self) -> Iterator[str]:
        """They are read by all lanes before one of them may write in their place."""
        read = dict.fromkeys(n for line in self.expression.lines for n in line.reads)
        for name in read:
            if name[0] == "i" and (self.form.single(name) or not self.form.full(name)):
                self.known.add(name)
                type = TYPES[self._dtype(name)]
                yield f"const {type} {name} = live ? {self._place(name)} : ({type})0;"
        if not all(self.form.stored_full(f"o{k}") for k in range(self.expression.results)):
            yield "__syncwarp();" if self.lanes <= WARP else "__syncthreads();"

    def _know(self, line: Line) -> Iterator[str]:
        """A line's one element for this row; its tensor may want it for each element."""
        self.known.add(line.name)
        yield _value(line, self.walk)
        yield from self._keep_one(line.name)

    def _keep_one(self, name: str) -> Iterator[str]:
        if name[0] != "o":
            return
        if self.form.stored_full(name):
            yield from self._loop([f"{self._place(name, 'j')} = {name};"])
        else:
            yield f"if (live && lane == 0) {self._place(name)} = {name};"

    def _pass(self, one: Pass) -> Iterator[str]:
        for line in one.reductions:
            yield f"{TYPES[self._dtype(line.name)]} {line.name} = {self._over(line).start};"
        yield from self._loop(list(self._elements(one)))
        for line in one.reductions:
            self.known.add(line.name)
            yield f"{line.name} = {self._over(line).function}({line.name});"
            yield from self._keep_one(line.name)

    def _loop(self, body: Sequence[str]) -> Iterator[str]:
        """The elements of a lane, one after the other."""
        if self.each <= MOST_UNROLLED:
            yield "#pragma unroll"
        yield f"for (int k = 0; k < {self.each}; ++k) {{"
        yield f"    const unsigned j = lane + k * {self.lanes}u;"
        yield f"    if (live && j < {self.form.length}u) {{"
        yield from indented(indented(body))
        yield "    }"
        yield "}"

    def _elements(self, one: Pass) -> Iterator[str]:
        here = set(self.known)
        for line in one.during:
            for name in line.reads:
                if name not in here:
                    here.add(name)
                    yield self._load(name)
            if line.op in ROW_OPS:
                yield self._over(line).added.format(line.name, line.reads[0])
                continue
            here.add(line.name)
            yield _value(line, self.walk)
            if line.name[0] == "o":
                yield f"{self._place(line.name, 'j')} = {line.name};"
            if line.name in self.kept:
                yield f"{line.name}_kept[k] = {line.name};"

    def _load(self, name: str) -> str:
        """From memory, or what an earlier pass has kept."""
        source = f"{name}_kept[k]" if name in self.kept else self._place(name, "j")
        return f"const {TYPES[self._dtype(name)]} {name} = {source};"

    def _place(self, name: str, *index: str) -> str:
        """The element of this row at an index, or its only one."""
        strides = strides_of(self.walk.dims[name])[:-1]
        return f"{name.upper()}[{offset('a', strides, *index)}]"

    def _over(self, line: Line) -> Over:
        return over_lanes(line.op, self._dtype(line.name), self.lanes)

    def _dtype(self, name: str) -> str:
        return self.walk.types[name].dtype
