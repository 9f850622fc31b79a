"""Lines made readable: what is used once goes where it is used, as one writes by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import replace

from flowc.onnx.desk import Bind, Line, Output, Variable
from flowc.onnx.repeats import Repeat, bound_by, names_in
from flowc.onnx.text import Call, Expr, Index, Infix, Name, Prefix, renamed

LONGEST = 88  # characters of a line after which nothing more is put into it
RANDOM = ("dropout", "random_uniform", "random_normal")


Lines = Sequence[Line | Repeat]


def tidied(lines: Lines, wanted: Collection[str] = ()) -> list[Line | Repeat]:
    """The same lines, fewer and longer. A layer keeps its line, and with it its path.

    `wanted` are names that somebody outside reads.
    """
    lines = _needed(lines, wanted)
    uses = Counter(name for line in lines for name in _read(line))
    pending: dict[str, Bind] = {}  # lines that wait for the one place of their use
    made: list[Line | Repeat] = []
    for line in lines:
        line = _filled(line, pending, made)
        if not isinstance(line, Bind) or not _can_move(line):
            made.append(line)
        elif uses[line.names[0]] == 1 and line.names[0] not in wanted:
            pending[line.names[0]] = line
        else:
            made.append(line)
    made.extend(pending.values())
    return _in_order(made)


def _needed(lines: Lines, wanted: Collection[str]) -> list[Line | Repeat]:
    """Without the lines that no output depends on; inputs stay."""
    needed = set(wanted)
    kept: list[Line | Repeat] = []
    for line in reversed(lines):
        if isinstance(line, (Bind, Variable)) and not needed.intersection(bound_by(line)):
            continue
        needed.update(_read(line))
        kept.append(line)
    return kept[::-1]


def _read(line: Line | Repeat) -> Collection[str]:
    return line.reads if isinstance(line, Repeat) else names_in(line)


def _can_move(line: Bind) -> bool:
    """Whether a line is but a name for an expression."""
    plain = len(line.names) == 1 and not line.weights
    return plain and not isinstance(line.value, Name) and not _is_random(line.value)


def _is_random(value: Expr) -> bool:
    """Random numbers are named by their line; moving one would change it."""
    return isinstance(value, Call) and value.function in RANDOM


def _filled(
    line: Line | Repeat, pending: dict[str, Bind], made: list[Line | Repeat]
) -> Line | Repeat:
    """The line with what waits for it put in, as far as it stays readable; the rest before it."""
    for name in dict.fromkeys(_read(line)):
        if name not in pending:
            continue
        waiting = pending.pop(name)
        longer = _with(line, name, waiting.value)
        if longer is None:
            made.append(waiting)
        else:
            line = longer
    if isinstance(line, Repeat):
        return replace(line, body=_inside(line))
    return line


def _inside(repeat: Repeat) -> tuple[Line, ...]:
    body = tidied(repeat.body, repeat.held)
    return tuple(line for line in body if not isinstance(line, Repeat))


def _with(line: Line | Repeat, name: str, value: Expr) -> Line | None:
    """The line with an expression in place of a name; None where that would read badly.

    `h = y` at the end of a loop's body stays as it is: others there may still read the old h.
    """
    if not isinstance(line, (Bind, Output)):
        return None
    if isinstance(line, Bind) and isinstance(line.value, Name) or _crowded(value, line.value, name):
        return None
    longer = replace(line, value=_straight(renamed(line.value, {name: value})))
    return longer if len(longer.text()) <= LONGEST else None


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


def _in_order(lines: list[Line | Repeat]) -> list[Line | Repeat]:
    """Parameters stand where they are first used; a line put in may have moved past them."""
    variables = {v.name: v for v in lines if isinstance(v, Variable)}
    made: list[Line | Repeat] = []
    for line in lines:
        if isinstance(line, Variable):
            continue
        made += [variables.pop(n) for n in dict.fromkeys(_read(line)) if n in variables]
        made.append(line)
    return made
