"""Lines made readable: what is used once goes where it is used, as one writes by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from flowc.onnx.desk import Bind, Line, Output, Variable
from flowc.onnx.text import Call, Expr, Index, Infix, Name, Prefix, Written, names_of, renamed

LONGEST = 88  # characters of a line after which nothing more is put into it
RANDOM = ("dropout", "random_uniform", "random_normal")


def tidied(lines: Sequence[Line]) -> list[Line]:
    """The same lines, fewer and longer. A layer keeps its line, and with it its path."""
    lines = _needed(lines)
    uses = Counter(name for line in lines for name in _read(line))
    pending: dict[str, Bind] = {}  # lines that wait for the one place of their use
    made: list[Line] = []
    for line in lines:
        line = _filled(line, pending, made)
        if isinstance(line, Bind) and _can_move(line) and uses[line.names[0]] == 1:
            pending[line.names[0]] = line
        else:
            made.append(line)
    made.extend(pending.values())
    return _in_order(made)


def _needed(lines: Sequence[Line]) -> list[Line]:
    """Without the lines that no output depends on; inputs stay."""
    needed: set[str] = set()
    kept: list[Line] = []
    for line in reversed(lines):
        names = line.names if isinstance(line, Bind) else (line.name,)
        if isinstance(line, (Bind, Variable)) and not needed.intersection(names):
            continue
        needed.update(_read(line))
        kept.append(line)
    return kept[::-1]


def _read(line: Line) -> list[str]:
    return list(names_of(line.value)) if isinstance(line, (Bind, Output)) else []


def _can_move(line: Bind) -> bool:
    """Whether a line is but a name for an expression."""
    plain = len(line.names) == 1 and not line.weights
    return plain and not isinstance(line.value, (Written, Name)) and not _is_random(line.value)


def _is_random(value: Expr) -> bool:
    """Random numbers are named by their line; moving one would change it."""
    return isinstance(value, Call) and value.function in RANDOM


def _filled(line: Line, pending: dict[str, Bind], made: list[Line]) -> Line:
    """The line with what waits for it put in, as far as it stays readable; the rest before it."""
    if not isinstance(line, (Bind, Output)):
        return line
    for name in dict.fromkeys(_read(line)):
        if name not in pending:
            continue
        waiting = pending.pop(name)
        longer = replace(line, value=_straight(renamed(line.value, {name: waiting.value})))
        fits = len(longer.text()) <= LONGEST and not _crowded(waiting.value, line.value, name)
        if fits and not isinstance(line.value, Written):
            line = longer
        else:
            made.append(waiting)
    return line


def _straight(value: Expr) -> Expr:
    """Of two reshapes in a row the first says nothing."""
    match value:
        case Call("reshape", (Call("reshape" | "expand" | "squeeze", (inner, *_)), shape)):
            return Call("reshape", (inner, shape))
    return value


def _crowded(inner: Expr, outer: Expr, name: str) -> bool:
    """Whether the result would be hard to read: a pipe or a sum as an argument among others."""
    if isinstance(outer, Call) and outer.args and outer.args[0] == Name(name):
        return False
    if isinstance(outer, Name):
        return False
    small = (Index, Prefix, Infix) if not isinstance(outer, Call) else (Index, Prefix)
    if isinstance(inner, Call):
        return _depth(inner) > 1
    return not isinstance(inner, small) or _depth(inner) > 2


def _depth(value: object) -> int:
    match value:
        case Call(args=args):
            return 1 + max((_depth(a) for a in args), default=0)
        case Infix(left=left, right=right):
            return 1 + max(_depth(left), _depth(right))
        case Prefix(value=inner) | Index(value=inner):
            return 1 + _depth(inner)
    return 0


def _in_order(lines: list[Line]) -> list[Line]:
    """Parameters first stand where they are first used; a line put in may have moved past them."""
    bound: set[str] = set()
    variables = {v.name: v for v in lines if isinstance(v, Variable)}
    made: list[Line] = []
    for line in lines:
        if isinstance(line, Variable):
            continue
        for name in _read(line):
            if name in variables and name not in bound:
                bound.add(name)
                made.append(variables[name])
        made.append(line)
    made[:0] = [v for n, v in variables.items() if n not in bound]
    return made
