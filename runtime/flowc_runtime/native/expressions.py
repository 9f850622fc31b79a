"""Which expressions have machine code: fused instructions, and single ops as if they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from llvmlite import ir

from flowc_runtime.blocking import Blocking, blocking
from flowc_runtime.expression import ROW_NAMES, ROW_OPS, Line, literal_dtype, parse_expression
from flowc_runtime.native.lanes import BYTES, Lanes
from flowc_runtime.native.lines import LINES, cast
from flowc_runtime.native.rows import ExpressionKernel
from flowc_runtime.ops.op import Types
from flowc_runtime.phases import Form, phases
from flowc_runtime.plan import Buffer, Instruction
from flowc_runtime.types import TensorType

SUMS = ("f32", "f64", "i32", "i64")


@dataclass(frozen=True)
class ExpressionTask:
    """All that the code of a fused instruction depends on; many instructions have the same."""

    lines: tuple[str, ...]
    shape: tuple[int, ...]
    operands: Types
    results: Types

    def kernel(self) -> ExpressionKernel | None:
        """None where it is left to NumPy."""
        expression = parse_expression(self.lines)
        walk = blocking(expression, self.operands, self.results, self.shape)
        form = Form(walk)
        if 0 in walk.shape or any(form.spread(f"o{k}") for k in range(len(self.results))):
            return None
        if not all(_has_code(line, walk) for line in expression.lines):
            return None
        return ExpressionKernel(expression, walk, phases(expression, form))


def elementwise_task(instruction: Instruction, buffers: Sequence[Buffer]) -> ExpressionTask | None:
    """As for a fused instruction of one line."""
    names = tuple(f"i{k}" for k in range(len(instruction.operands)))
    line = str(Line("o0", instruction.op, names, instruction.attrs))
    shape = buffers[instruction.results[0]].type.sizes
    return fused_task(replace(instruction, attrs={"lines": (line,), "shape": shape}), buffers)


def row_task(instruction: Instruction, buffers: Sequence[Buffer]) -> ExpressionTask | None:
    """A reduction along the last axis, in the order in which a fused instruction has it: another
    plan of the same model may have put it into one. None for other axes."""
    x, result = buffers[instruction.operands[0]], buffers[instruction.results[0]]
    axes, rank = tuple(instruction.attrs["axes"]), x.type.rank
    if axes != (rank - 1,) or 0 in x.type.sizes or result.meets(x):
        return None
    line = f"o0 = {ROW_NAMES[instruction.op]}(i0)"
    kept = TensorType(result.type.dtype, (*x.type.shape[:-1], 1))
    return ExpressionTask((line,), x.type.sizes, (x.type,), (kept,))


def fused_task(instruction: Instruction, buffers: Sequence[Buffer]) -> ExpressionTask | None:
    """None where a result's bytes are an operand's, but not element by element."""
    operands = [buffers[k] for k in instruction.operands]
    results = [buffers[k] for k in instruction.results]
    for result in results:
        for operand in operands:
            same = (result.offset, result.type) == (operand.offset, operand.type)
            if result.meets(operand) and not same:
                return None
    return ExpressionTask(
        tuple(instruction.attrs["lines"]), tuple(instruction.attrs["shape"]),
        tuple(b.type for b in operands), tuple(b.type for b in results))


def _has_code(line: Line, walk: Blocking) -> bool:
    types = walk.types
    dtypes = {types[n].dtype for n in (line.name, *line.reads)}
    if not dtypes <= BYTES.keys():
        return False
    if line.op in ROW_OPS:
        return types[line.name].dtype in SUMS
    if line.op == "cast":
        source = types[line.reads[0]].dtype if line.reads else ""
        return source != "" and _castable(source, types[line.name].dtype)
    known = LINES.get(line.op)
    return known is not None and literal_dtype(line, types) in known.dtypes


def _castable(source: str, target: str) -> bool:
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), []), "try")
    lanes = Lanes(ir.IRBuilder(function.append_basic_block()), 1)
    return cast(lanes, lanes.number(source, 0), source, target) is not None
