"""What must hold of a plan before a device runs it; the first promise that is broken is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from flowc_runtime.blocking import fused_scratch_bytes
from flowc_runtime.expression import BadExpression, parse_expression
from flowc_runtime.memory import constant_array
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Reject, Types
from flowc_runtime.plan import (
    ALIGNMENT_BYTES,
    Buffer,
    Instruction,
    Plan,
    PlanError,
    Port,
    Program,
)
from flowc_runtime.planfile.flow import check_flow
from flowc_runtime.types import TensorType

MAX_BYTES = 1 << 46  # of one space: more than any machine has
MAX_ROUNDS = 1 << 31  # of a scan
MAX_SCAN_DEPTH = 8
_KINDS = ("param", "state", "slot")
_SCAN_ATTRS = {"sequences", "carries", "axes", "yield_axes", "length", "reverse"}


def check_plan(plan: Plan) -> None:
    """Raises PlanError unless every program keeps to its memory, its types and its operands."""
    sizes = {"variables": plan.variable_bytes, "constants": plan.constant_bytes}
    _check_variables(plan)
    for constant in plan.constants:
        _check_place(Buffer("constants", constant.offset, constant.type), sizes, "a constant")
        try:
            constant_array(constant)
        except (ValueError, TypeError, OverflowError) as reason:
            raise PlanError(f"a constant is no {constant.type}: {reason}") from reason
    for name, program in plan.programs.items():
        where = f"program {name}"
        _ProgramCheck(program, {**sizes, "arena": program.arena_bytes}, where).run()
        _check_commit(program, where)
        check_flow(program, where)


def _check_variables(plan: Plan) -> None:
    sizes = {"variables": plan.variable_bytes}
    places = sorted((v.offset, v.offset + v.type.bytes, v.path) for v in plan.variables)
    for variable in plan.variables:
        where = f"variable {variable.path}"
        _check_place(Buffer("variables", variable.offset, variable.type), sizes, where)
        if variable.kind not in _KINDS or variable.offset % ALIGNMENT_BYTES:
            raise PlanError(f"{where}: its kind or its offset is not allowed")
    for (_, end, path), (start, _, other) in pairwise(places):
        if start < end or path == other:
            raise PlanError(f"variable {path} meets variable {other}")
    if len({v.path for v in plan.variables}) != len(plan.variables):
        raise PlanError("two variables have one path")


def _check_place(buffer: Buffer, sizes: Mapping[str, int], where: str) -> None:
    size = sizes.get(buffer.space)
    if size is None or size > MAX_BYTES:
        raise PlanError(f"{where}: there is no space `{buffer.space[:40]}` of a possible size")
    if buffer.end > size or buffer.offset % buffer.type.storage.itemsize:
        raise PlanError(
            f"{where}: {buffer.type} at {buffer.offset} does not fit into the "
            f"{size} bytes of the {buffer.space}"
        )


def _check_commit(program: Program, where: str) -> None:
    if program.commit > len(program.instructions):
        raise PlanError(f"{where}: `commit` is behind the last instruction")
    for number, instruction in enumerate(program.instructions[: program.commit]):
        if any(program.buffers[k].space == "variables" for k in instruction.results):
            raise PlanError(f"{where}, instruction {number}: writes a variable before `commit`")


@dataclass(frozen=True)
class _ProgramCheck:
    """Checks a program, or the body of a scan, instruction by instruction."""

    program: Program
    sizes: Mapping[str, int]
    where: str
    depth: int = 0

    def run(self) -> None:
        for number, buffer in enumerate(self.program.buffers):
            _check_place(buffer, self.sizes, f"{self.where}, buffer {number}")
        ports = (*self.program.inputs, *self.program.outputs)
        self._check_numbers(tuple(p.buffer for p in ports), self.where)
        for group in (self.program.inputs, self.program.outputs):
            if len({p.name for p in group}) != len(group):
                raise PlanError(f"{self.where}: two inputs or outputs have one name")
        for number, instruction in enumerate(self.program.instructions):
            self._instruction(instruction, f"{self.where}, instruction {number}")

    def _check_numbers(self, numbers: tuple[int, ...], where: str) -> None:
        for number in numbers:
            if not 0 <= number < len(self.program.buffers):
                raise PlanError(f"{where}: there is no buffer {number}")

    def _instruction(self, i: Instruction, where: str) -> None:
        where = f"{where} ({i.op[:40]})"
        self._check_numbers((*i.operands, *i.results), where)
        if any(self.program.buffers[k].space == "constants" for k in i.results):
            raise PlanError(f"{where}: writes a constant")
        end = i.scratch_offset + i.scratch_bytes
        if end > self.sizes["arena"] or i.scratch_offset % ALIGNMENT_BYTES:
            raise PlanError(f"{where}: its scratch is not in the arena")
        if (i.op == "scan") != (i.body is not None):
            raise PlanError(f"{where}: has a body, or lacks one")
        operands = tuple(self.program.buffers[k].type for k in i.operands)
        results = tuple(self.program.buffers[k].type for k in i.results)
        try:
            made, scratch = self._rule(i, operands, results, where)
        except Reject as reason:
            raise PlanError(f"{where}: operand {reason.operand} {reason.message}") from reason
        except BadExpression as reason:
            raise PlanError(f"{where}: {reason}") from reason
        except (TypeError, ValueError, LookupError, AttributeError, ArithmeticError) as reason:
            if isinstance(reason, PlanError):
                raise
            raise PlanError(f"{where}: its attributes are not valid ({reason})") from reason
        if made != results:
            wanted = ", ".join(map(str, made))
            raise PlanError(f"{where}: gives {wanted}, but its results are something else")
        if scratch > i.scratch_bytes:
            raise PlanError(f"{where}: needs {scratch} bytes of scratch, not {i.scratch_bytes}")

    def _rule(
        self, i: Instruction, operands: Types, results: Types, where: str
    ) -> tuple[Types, int]:
        """The result types and the scratch bytes that the instruction should have."""
        if i.op == "fused":
            return _fused(i, operands, results)
        if i.op == "scan":
            return self._scan(i, operands, results, where)
        if i.op == "copy":
            if i.attrs or len(operands) != 1:
                raise PlanError(f"{where}: a copy has one operand and no attributes")
            return operands, 0
        op = CATALOG.get(i.op)
        if op is None or op.kernel is None:
            raise PlanError(f"{where}: there is no such op")
        if i.attrs.keys() != {a.name for a in op.attrs}:
            raise PlanError(f"{where}: its attributes are not those of the op")
        if len(operands) != len(op.operands) and not (op.variadic and operands):
            raise PlanError(f"{where}: has {len(operands)} operands")
        made = op.infer(operands, i.attrs)
        return made, op.scratch_bytes(operands, made, i.attrs)

    def _scan(
        self, i: Instruction, operands: Types, results: Types, where: str
    ) -> tuple[Types, int]:
        assert i.body is not None
        sequences, carries, length = _scan_counts(i, where, self.depth)
        ports = {p.name: i.body.buffers[p.buffer] for p in i.body.inputs if _in(p, i.body)}
        for k, axis in enumerate(i.attrs["axes"]):
            if operands[k].shape[axis] != length:
                raise PlanError(f"{where}: sequence {k} has not {length} elements")
            _check_port(ports, f"x{k}", _without(operands[k], axis), where)
        for k in range(carries):
            self._check_same(ports, f"c{k}", i.results[k], where)
        for k, number in enumerate(i.operands[sequences + carries :]):
            self._check_same(ports, f"k{k}", number, where)
        _ProgramCheck(i.body, self.sizes, f"{where}, body", self.depth + 1).run()
        self._check_writes(i, ports, where)
        yields = [i.body.buffers[p.buffer].type for p in i.body.outputs]
        axes = i.attrs["yield_axes"]
        stacked = [_with(t, axis, length) for t, axis in zip(yields, axes, strict=True)]
        return (*operands[sequences : sequences + carries], *stacked), i.body.arena_bytes

    def _check_same(
        self, ports: Mapping[str, Buffer], name: str, number: int, where: str
    ) -> None:
        if name in ports and ports[name] != self.program.buffers[number]:
            raise PlanError(f"{where}: {name} of the body does not lie where buffer {number} does")

    def _check_writes(self, i: Instruction, ports: Mapping[str, Buffer], where: str) -> None:
        """A body writes into the scratch of its scan, and onto its carries."""
        assert i.body is not None
        start, end = i.scratch_offset, i.scratch_offset + i.scratch_bytes
        carries = [(b.space, b.offset) for name, b in ports.items() if name[0] == "c"]
        written = [i.body.buffers[k] for j in i.body.instructions for k in j.results]
        written += [b for name, b in ports.items() if name[0] == "x"]
        for b in written:
            inside = b.space == "arena" and start <= b.offset and b.end <= end
            if not inside and (b.space, b.offset) not in carries:
                raise PlanError(f"{where}: the body writes outside its scratch")
        for j in i.body.instructions:
            if j.scratch_bytes and not start <= j.scratch_offset <= end - j.scratch_bytes:
                raise PlanError(f"{where}: the body has scratch outside that of the scan")


def _fused(i: Instruction, operands: Types, results: Types) -> tuple[Types, int]:
    if i.attrs.keys() != {"lines", "shape"} or not all(type(n) is int for n in i.attrs["shape"]):
        raise ValueError("a fused kernel has `lines` and a `shape`")
    expression, shape = parse_expression(i.attrs["lines"]), tuple(i.attrs["shape"])
    made = expression.result_types(operands, shape)
    stored = tuple(_widened(a, b, shape) for a, b in zip(made, results, strict=True))
    return stored, fused_scratch_bytes(i.attrs["lines"], operands, results, shape)


def _widened(made: TensorType, stored: TensorType, shape: tuple[int, ...]) -> TensorType:
    """The stored type, if the line's value may be broadcast to it."""
    return stored if may_store(made, stored, shape) else made


def may_store(made: TensorType, stored: TensorType, shape: tuple[Any, ...]) -> bool:
    """Whether a fused kernel's result may be a tensor of the stored type."""

    def broadcasts(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
        behind = b[len(b) - len(a) :]
        return len(a) <= len(b) and all(x in (1, y) for x, y in zip(a, behind, strict=True))

    fits = broadcasts(made.shape, stored.shape) and broadcasts(stored.shape, shape)
    return made.dtype == stored.dtype and fits


def _scan_counts(i: Instruction, where: str, depth: int) -> tuple[int, int, int]:
    attrs = i.attrs
    if attrs.keys() != _SCAN_ATTRS or type(attrs["reverse"]) is not bool:
        raise PlanError(f"{where}: its attributes are not those of a scan")
    numbers = (attrs["sequences"], attrs["carries"], attrs["length"])
    if not all(type(n) is int and 0 <= n <= MAX_ROUNDS for n in numbers):
        raise PlanError(f"{where}: a count is not allowed")
    for axis in (*attrs["axes"], *attrs["yield_axes"]):
        if type(axis) is not int or axis < 0:
            raise PlanError(f"{where}: an axis is not allowed")
    if len(attrs["axes"]) != numbers[0] or len(i.operands) < numbers[0] + numbers[1]:
        raise PlanError(f"{where}: has {len(i.operands)} operands")
    if len(i.results) != numbers[1] + len(attrs["yield_axes"]):
        raise PlanError(f"{where}: has {len(i.results)} results")
    if depth >= MAX_SCAN_DEPTH:
        raise PlanError(f"{where}: scans are nested more than {MAX_SCAN_DEPTH} deep")
    return numbers


def _in(port: Port, program: Program) -> bool:
    return 0 <= port.buffer < len(program.buffers)


def _check_port(ports: Mapping[str, Buffer], name: str, type: TensorType, where: str) -> None:
    if name in ports and ports[name].type != type:
        raise PlanError(f"{where}: {name} of the body is {ports[name].type}, not {type}")


def _without(type: TensorType, axis: int) -> TensorType:
    return TensorType(type.dtype, type.shape[:axis] + type.shape[axis + 1 :])


def _with(type: TensorType, axis: int, size: int) -> TensorType:
    return TensorType(type.dtype, (*type.shape[:axis], size, *type.shape[axis:]))
