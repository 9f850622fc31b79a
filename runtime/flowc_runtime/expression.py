"""Expression kernels: what a `fused` instruction computes, as lines of text that can be read.

    t0 = sub(i0, i1)
    t1 = exp(t0)
    t2 = row_sum(t1)
    o0 = div(t1, t2)

A line applies one elementwise op of the catalog, or a reduction of the last axis that keeps it
with size 1 (`row_sum`, `row_max`, `row_min`), to operands `i0..`, temporaries `t0..`, results
`o0..` that were assigned before, and numbers; `{dtype=f32}` after them gives the op's attributes.
A number takes the dtype of the line's first other argument. The operands are broadcast to the
iteration shape of the instruction. A result's tensor may be wider than its line's value (a row's
sum, say, stored for each element): the value is then broadcast.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from flowc_runtime.dims import Dim
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Attrs, Cost, Reject, Types, bytes_moved
from flowc_runtime.types import DTYPES, TensorType

ROW_OPS = {"row_sum": "reduce_sum", "row_max": "reduce_max", "row_min": "reduce_min"}
ROW_NAMES = {op: name for name, op in ROW_OPS.items()}
ROW_COMBINES = {"row_sum": "add", "row_max": "maximum", "row_min": "minimum"}  # two elements
MAX_LINES = 10_000

Arg = str | int | float | bool  # a string is a name, anything else a number

_LINE = re.compile(r"([to]\d{1,6}) = (\w{1,40})\(([^{}()]*?)(?:(?:, )?\{([^{}()]*)\})?\)")
_NAME = re.compile(r"[ito](0|[1-9]\d{0,5})")
_WORD = re.compile(r"[a-z]\w{0,39}")
_NUMBER = re.compile(r"-?\d{1,40}(\.\d{1,40})?(e[+-]?\d{1,4})?")
_SPECIAL: dict[str, float | bool] = {
    "true": True,
    "false": False,
    "inf": float("inf"),
    "-inf": float("-inf"),
    "nan": float("nan"),
}


class BadExpression(ValueError):
    """The lines are no expression kernel; the message says which line and why."""


@dataclass(frozen=True, slots=True)
class Line:
    """`name = op(args, {attrs})`."""

    name: str
    op: str
    args: tuple[Arg, ...]
    attrs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(a for a in self.args if isinstance(a, str))

    def __str__(self) -> str:
        parts = [_arg_text(a) for a in self.args]
        if self.attrs:
            inner = ", ".join(f"{k}={_arg_text(v)}" for k, v in sorted(self.attrs.items()))
            parts.append(f"{{{inner}}}")
        return f"{self.name} = {self.op}({', '.join(parts)})"


@dataclass(frozen=True)
class Expression:
    """Lines in the order of their evaluation, each name assigned once and before it is read."""

    lines: tuple[Line, ...]

    def __post_init__(self) -> None:
        if not 0 < len(self.lines) <= MAX_LINES:
            raise BadExpression(f"{len(self.lines)} lines; 1 to {MAX_LINES:,} are allowed")
        assigned: set[str] = set()
        for line in self.lines:
            _check_names(line, assigned)
            assigned.add(line.name)
        results = sorted(int(n[1:]) for n in assigned if n[0] == "o")
        if results != list(range(len(results))) or not results:
            raise BadExpression("the results are not o0, o1 and so on without a gap")

    @property
    def text(self) -> tuple[str, ...]:
        return tuple(map(str, self.lines))

    @property
    def operands(self) -> int:
        """How many operands the lines read at least: one more than the highest `i`."""
        named = (int(n[1:]) for line in self.lines for n in line.reads if n[0] == "i")
        return max(named, default=-1) + 1

    @property
    def results(self) -> int:
        return sum(line.name[0] == "o" for line in self.lines)

    @property
    def temporaries(self) -> int:
        return len(self.lines) - self.results

    def types(self, operands: Types, shape: tuple[Dim, ...]) -> dict[str, TensorType]:
        """The type of every name, by the catalog's rules; raises BadExpression."""
        if self.operands > len(operands):
            raise BadExpression(f"i{self.operands - 1} is read, but the operands end before it")
        known = {f"i{k}": t for k, t in enumerate(operands)}
        for name, type in known.items():
            _check_fits(name, type, shape)
        for line in self.lines:
            known[line.name] = _line_type(line, known, shape)
            _check_fits(str(line), known[line.name], shape)
        return known

    def result_types(self, operands: Types, shape: tuple[Dim, ...]) -> Types:
        """The types of the lines that assign `o0..`; each may be stored into a wider tensor."""
        types = self.types(operands, shape)
        return tuple(types[f"o{k}"] for k in range(self.results))

    def cost(self, operands: Types, results: Types, shape: tuple[Dim, ...]) -> Cost:
        """The operations of all lines, by the catalog; the bytes of operands and results."""
        types = self.types(operands, shape)
        flops = sum(_line_flops(line, types) for line in self.lines)
        return Cost(flops, bytes_moved(operands, results))

    def may_overwrite(self, operand: int, result: int) -> bool:
        """Whether an operand's bytes are read no more once the line of that result writes.

        Both must have the dtype and the whole iteration shape; see `Op.in_place` for one line.
        """
        name = f"i{operand}"
        write = next(k for k, line in enumerate(self.lines) if line.name == f"o{result}")
        if any(name in line.reads for line in self.lines[write + 1 :]):
            return False
        last = self.lines[write]
        return all(position in in_place(last.op) for position in _positions(last, name))


def in_place(op: str) -> tuple[int, ...]:
    """The argument positions whose memory a line's value may take over."""
    return () if op in ROW_OPS else CATALOG[op].in_place


def row_identity(op: str, dtype: str) -> float:
    """What a reduction of a row begins with: combined with an element it changes nothing."""
    if op == "row_sum":
        return 0
    sign = -1 if op == "row_max" else 1
    if DTYPES[dtype].kind == "float":
        return sign * float("inf")
    highest: int = 2 ** (8 * DTYPES[dtype].bytes - 1) - 1
    return -highest - 1 if sign < 0 else highest


def parse_line(text: str) -> Line:
    """The inverse of `str(Line)`; raises BadExpression."""
    match = _LINE.fullmatch(text)
    if match is None:
        raise BadExpression(f"`{text[:120]}` is no line of the form `t0 = op(i0, 0.5)`")
    name, op, args, attrs = match.groups()
    if op not in ROW_OPS and not (op in CATALOG and CATALOG[op].elementwise):
        raise BadExpression(f"`{text[:120]}`: there is no elementwise op `{op}`")
    pairs = [_pair(part) for part in attrs.split(", ")] if attrs else []
    if len(dict(pairs)) != len(pairs):
        raise BadExpression(f"`{text[:120]}` gives an attribute twice")
    return Line(name, op, tuple(_arg(a) for a in args.split(", ")) if args else (), dict(pairs))


def parse_expression(lines: Sequence[str]) -> Expression:
    """The expression that the text lines say; raises BadExpression."""
    return _parsed(tuple(lines))


@lru_cache(maxsize=1024)  # a deep network has the same few kernels again and again
def _parsed(lines: tuple[str, ...]) -> Expression:
    if not 0 < len(lines) <= MAX_LINES:
        raise BadExpression(f"{len(lines)} lines; 1 to {MAX_LINES:,} are allowed")
    return Expression(tuple(map(parse_line, lines)))


def line_attrs(line: Line) -> Attrs:
    """The attributes of the line's op, defaults filled in."""
    return {a.name: line.attrs.get(a.name, a.default) for a in CATALOG[line.op].attrs}


def literal_dtype(line: Line, known: Mapping[str, TensorType]) -> str:
    """The dtype that the numbers in a line take: that of its first other argument.

    In `where` the condition does not count.
    """
    args = line.args[1:] if line.op == "where" else line.args
    for arg in args:
        if isinstance(arg, str):
            return known[arg].dtype
    raise BadExpression(f"`{line}` has only numbers, so their dtype is not known")


def _line_type(line: Line, known: Mapping[str, TensorType], shape: tuple[Dim, ...]) -> TensorType:
    if line.op in ROW_OPS:
        return _row_type(line, known, shape)
    types = tuple(_arg_type(line, a, known) for a in line.args)
    rule = CATALOG[line.op]
    if len(types) != len(rule.operands):
        raise BadExpression(f"`{line}`: {line.op} takes {len(rule.operands)} arguments")
    if set(line.attrs) - {a.name for a in rule.attrs}:
        raise BadExpression(f"`{line}`: {line.op} has no such attribute")
    try:
        return rule.infer(types, line_attrs(line))[0]
    except Reject as reason:
        raise BadExpression(f"`{line}`: {reason.message}") from reason


def _row_type(line: Line, known: Mapping[str, TensorType], shape: tuple[Dim, ...]) -> TensorType:
    if len(line.args) != 1 or not isinstance(line.args[0], str) or line.attrs:
        raise BadExpression(f"`{line}`: {line.op} takes one name and no attributes")
    type = known[line.args[0]]
    if not shape or not type.shape or type.shape[-1] != shape[-1] or shape[-1] == 0:
        raise BadExpression(f"`{line}`: {type} holds no rows of the iteration shape")
    if type.kind == "bool" or type.dtype == "bf16":
        raise BadExpression(f"`{line}`: {type} is no row of numbers")
    return TensorType(type.dtype, (*type.shape[:-1], 1))


def _arg_type(line: Line, arg: Arg, known: Mapping[str, TensorType]) -> TensorType:
    if isinstance(arg, str):
        return known[arg]
    type = TensorType(literal_dtype(line, known))
    allowed = {"bool": (bool,), "int": (int,), "float": (int, float)}[type.kind]
    if not isinstance(arg, allowed) or isinstance(arg, bool) != (type.kind == "bool"):
        raise BadExpression(f"`{line}`: {_arg_text(arg)} is no {type.dtype}")
    return type


def _check_names(line: Line, assigned: set[str]) -> None:
    if line.name in assigned:
        raise BadExpression(f"`{line}`: {line.name} is assigned twice")
    for name in line.reads:
        if name[0] != "i" and name not in assigned:
            raise BadExpression(f"`{line}`: {name} is read before it is assigned")


def _check_fits(what: str, type: TensorType, shape: tuple[Dim, ...]) -> None:
    """Blames a type that does not broadcast to the iteration shape."""
    behind = shape[max(0, len(shape) - type.rank) :]
    if len(behind) < type.rank or any(
        a not in (1, b) for a, b in zip(type.shape, behind, strict=True)
    ):
        dims = ", ".join(map(str, shape))
        raise BadExpression(f"`{what}`: {type} does not broadcast to the shape [{dims}]")


def _line_flops(line: Line, types: Mapping[str, TensorType]) -> int:
    operands = tuple(_arg_type(line, a, types) for a in line.args)
    if line.op in ROW_OPS:
        return int(operands[0].size)  # type: ignore[arg-type]
    return CATALOG[line.op].cost(operands, (types[line.name],), line_attrs(line)).flops


def _positions(line: Line, name: str) -> Iterator[int]:
    return (k for k, arg in enumerate(line.args) if arg == name)


def _pair(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    if not equals or not _WORD.fullmatch(key):
        raise BadExpression(f"`{text[:120]}` is no attribute of the form `name=value`")
    return key, value if _WORD.fullmatch(value) and value not in _SPECIAL else _number(value)


def _arg(text: str) -> Arg:
    return text if _NAME.fullmatch(text) else _number(text)


def _number(text: str) -> int | float | bool:
    if text in _SPECIAL:
        return _SPECIAL[text]
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise BadExpression(f"`{text[:120]}` is neither a name nor a number")
    return float(text) if match[1] or match[2] else int(text)


def _arg_text(arg: Any) -> str:
    return str(arg).lower() if isinstance(arg, bool) else str(arg)
