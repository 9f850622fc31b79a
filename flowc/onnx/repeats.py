"""Repeated structure: lines that come again and again become a `repeat`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flowc.onnx.desk import Bind, Input, Line, Output, Variable, renamed_line
from flowc.onnx.text import Name, names_of, renamed, write

LONGEST = 160  # lines of a body
_NUMBER = re.compile(r"(_\d+)+$")
SEVERAL = 3  # rounds from which a single line is worth a loop


@dataclass(frozen=True)
class Repeat:
    """`repeat count as label { body }`, with the weights of all rounds by their paths.

    `held` are the names that go from round to round, and beyond.
    """

    count: int
    label: str
    body: tuple[Line, ...]
    held: tuple[str, ...]
    weights: Mapping[str, np.ndarray]

    def text(self) -> str:
        inside = "\n".join(line.text() for line in self.body)
        return f"repeat {self.count} as {self.label} {{\n{inside}\n}}"

    @property
    def reads(self) -> set[str]:
        """What the body reads from outside."""
        own = {name for line in self.body for name in bound_by(line)}
        read = {name for line in self.body for name in names_in(line)}
        return (read - own) | set(self.held)


def _weights(
    label: str, body: Sequence[Line], rounds: Sequence[Sequence[Line]]
) -> dict[str, np.ndarray]:
    """All weights by their paths: `label.ROUND.` and the path inside of the body."""
    return {
        f"{label}.{number}.{bound_by(own)[0]}{suffix}": value
        for number, lines in enumerate(rounds)
        for own, line in zip(body, lines, strict=True)
        for suffix, value in weights_in(line).items()
    }


def weights_in(line: Line) -> dict[str, np.ndarray]:
    """What a line brings, by what follows its name in the path."""
    if isinstance(line, Variable):
        return {"": line.value}
    if isinstance(line, Bind):
        return {f".{suffix}": value for suffix, value in line.weights.items()}
    return {}


def bound_by(line: Line) -> tuple[str, ...]:
    match line:
        case Bind(names=names):
            return names
        case Variable(name=name) | Input(name=name):
            return (name,)
    return ()


def folded(lines: Sequence[Line], name: Callable[[str], str]) -> list[Line | Repeat]:
    """The lines with runs of equal ones folded; `name` gives a new name for a wish."""
    keys = [_key(line) for line in lines]
    made: list[Line | Repeat] = []
    rest = list(lines)
    at = 0
    while at < len(rest):
        run = _best(rest, keys, at)
        if run is None:
            made.append(rest[at])
            at += 1
            continue
        first, repeat, renames = _as_repeat(rest, run, name)
        made += [*first, repeat]
        at = run.start + run.length * run.count
        rest[at:] = [renamed_line(line, renames) for line in rest[at:]]
    return made


# --- finding ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    """`count` times `length` lines from `start`; `carried` maps a name before to a body line."""

    start: int
    length: int
    count: int
    carried: Mapping[str, tuple[int, int]]  # name -> line of the body, result of that line


def _key(line: Line) -> tuple[object, ...]:
    """What must be equal in all rounds: the expression without names, the types of weights."""
    weights = tuple((s, v.shape, str(v.dtype)) for s, v in weights_in(line).items())
    if isinstance(line, (Bind, Output)):
        names = dict.fromkeys(names_of(line.value))
        blank = renamed(line.value, {n: Name("_") for n in names})
        return type(line).__name__, write(blank), len(bound_by(line)), weights
    kind = line.kind if isinstance(line, Variable) else ""
    return type(line).__name__, kind, weights


def _best(lines: Sequence[Line], keys: Sequence[object], at: int) -> _Run | None:
    """The run from here that saves the most lines."""
    best: _Run | None = None
    for length in range(1, min(LONGEST, (len(lines) - at) // 2) + 1):
        if not _has_weights(lines[at: at + length]):
            continue
        count = _count(keys, at, length)
        while count > 1:
            run = _checked(lines, at, length, count)
            if run is not None:
                break
            count -= 1
        else:
            continue
        assert run is not None
        if length == 1 and count < SEVERAL:
            continue
        if best is None or length * (count - 1) > best.length * (best.count - 1):
            best = run
    return best


def _has_weights(lines: Iterable[Line]) -> bool:
    return any(weights_in(line) for line in lines)


def _count(keys: Sequence[object], at: int, length: int) -> int:
    count = 1
    first = keys[at: at + length]
    while keys[at + count * length: at + (count + 1) * length] == first:
        count += 1
    return count


def _checked(lines: Sequence[Line], at: int, length: int, count: int) -> _Run | None:
    """The run with its carried names, if the names of its rounds fit together."""
    rounds = [lines[at + k * length: at + (k + 1) * length] for k in range(count)]
    if any(isinstance(line, (Output, Input)) for line in rounds[0]):
        return None
    carried: dict[str, tuple[int, int]] = {}
    constant: set[str] = set()
    first = _homes(rounds[0])
    for k in range(1, count):
        own, before = _homes(rounds[k]), _homes(rounds[k - 1])
        for a, c in zip(rounds[0], rounds[k], strict=True):
            for x, y in zip(names_in(a), names_in(c), strict=True):
                if x in first or y in own:
                    if first.get(x) != own.get(y):
                        return None
                elif y in before:
                    if x in constant or carried.setdefault(x, before[y]) != before[y]:
                        return None
                elif x != y or x in carried:
                    return None
                else:
                    constant.add(x)
    if not carried or constant & set(carried):
        return None
    if not _closed(lines, at, rounds, carried):
        return None
    return _Run(at, length, count, carried)


def names_in(line: Line) -> list[str]:
    """The names that a line reads, each as often as it does."""
    return list(names_of(line.value)) if isinstance(line, (Bind, Output)) else []


def _homes(lines: Sequence[Line]) -> dict[str, tuple[int, int]]:
    """Where each name is bound: the line, and which of its results."""
    return {n: (i, j) for i, line in enumerate(lines) for j, n in enumerate(bound_by(line))}


def _closed(
    lines: Sequence[Line], at: int, rounds: Sequence[Sequence[Line]],
    carried: Mapping[str, tuple[int, int]],
) -> bool:
    """Whether nothing after the loop reads what does not leave it."""
    length = len(rounds[0])
    end = at + length * len(rounds)
    places = set(carried.values())
    hidden = set()
    for k, body in enumerate(rounds):
        for name, home in _homes(body).items():
            if k < len(rounds) - 1 or home not in places:
                hidden.add(name)
    return not any(n in hidden for line in lines[end:] for n in names_in(line))


# --- writing ------------------------------------------------------------------------------------


def _as_repeat(
    lines: Sequence[Line], run: _Run, name: Callable[[str], str]
) -> tuple[list[Line], Repeat, dict[str, Name]]:
    """What goes before the loop, the loop, and what the lines after it must be renamed by."""
    rounds = tuple(
        tuple(lines[run.start + k * run.length: run.start + (k + 1) * run.length])
        for k in range(run.count))
    before: list[Line] = []
    inside = {n: Name(name(_NUMBER.sub("", n))) for line in rounds[0] for n in bound_by(line)}
    after: dict[str, Name] = {}
    ends: list[Bind] = []
    for outer, (line, result) in run.carried.items():
        held = name("h")
        before.append(Bind((held,), Name(outer)))
        inside[outer] = Name(held)
        ends.append(Bind((held,), inside[bound_by(rounds[0][line])[result]]))
        after[bound_by(rounds[-1][line])[result]] = Name(held)
    body = [renamed_line(line, inside) for line in rounds[0]]
    label = name("unit")
    weights = _weights(label, body, rounds)
    names = tuple(end.names[0] for end in ends)
    return before, Repeat(len(rounds), label, _rebound(body, ends), names, weights), after


def _rebound(body: list[Line], ends: list[Bind]) -> tuple[Line, ...]:
    """`y = f(h)`, `h = y` at the end of a body as `h = f(h)`, where y is no layer's name."""
    last, end = body[-1], ends[0]
    if len(ends) != 1 or not isinstance(last, Bind):
        return (*body, *ends)
    if last.weights or Name(last.names[0]) != end.value or len(last.names) > 1:
        return (*body, *ends)
    return (*body[:-1], replace(last, names=end.names))
