"""How an expression is walked row by row: what is done before a row, and in each pass over it.

A value has an element for each of the row (it is full), one for the row, or one for all rows. A
reduction of a row ends a pass, because what reads it needs the whole row before. Lines keep their
order from pass to pass, so that a result may take over the memory of an operand that is read no
more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

from flowc_runtime.blocking import Blocking, Dims
from flowc_runtime.expression import ROW_OPS, Expression, Line


@dataclass
class Pass:
    """`before` are lines of one element a row; `during` are done for each element of it."""

    before: list[Line] = field(default_factory=list)
    during: list[Line] = field(default_factory=list)

    @property
    def reductions(self) -> list[Line]:
        return [line for line in self.during if line.op in ROW_OPS]


@dataclass(frozen=True)
class Phases:
    """`once` are lines of one element for all rows. `spilled` are the temporaries that a later
    pass reads."""

    once: tuple[Line, ...]
    passes: tuple[Pass, ...]
    spilled: tuple[str, ...]


class Form:
    """What names are to the rows of a walk."""

    def __init__(self, walk: Blocking):
        self.walk = walk
        self.rows: Dims = walk.shape[:-1]
        self.length = walk.shape[-1]
        self._many = prod(walk.shape) > 1

    def full(self, name: str) -> bool:
        """A value with an element for each of the row."""
        return self._dims(name)[-1] == self.length

    def single(self, name: str) -> bool:
        """A value with one element for all rows, where there is more than one element at all."""
        return self._many and set(self._dims(name)) <= {1}

    def stored_full(self, result: str) -> bool:
        return self.walk.dims[result][-1] == self.length

    def spread(self, result: str) -> bool:
        """Whether a result's tensor has fewer elements than there are rows, or parts of them."""
        return self.walk.dims[result][:-1] != self.rows

    def _dims(self, name: str) -> Dims:
        return self.walk.values[name]


def phases(expression: Expression, form: Form) -> Phases:
    """The lines, dealt out to passes."""
    once: list[Line] = []
    passes = [Pass()]
    known_after: dict[str, int] = {}  # of a row's value, the pass that ends with it
    pass_of: dict[str, int] = {}
    for line in expression.lines:
        if _is_single(line, form) and not any(n in pass_of for n in line.reads):
            once.append(line)
            continue
        needed = max((known_after[n] + 1 for n in line.reads if n in known_after), default=0)
        # What is stored wide before a pass would come ahead of the pass's own reads there.
        if needed == len(passes) or (_is_stored_wide(line, form) and passes[-1].during):
            passes.append(Pass())
        pass_of[line.name] = len(passes) - 1
        if line.op in ROW_OPS:
            passes[-1].during.append(line)
            known_after[line.name] = len(passes) - 1
        elif form.full(line.name):
            passes[-1].during.append(line)
        else:
            passes[-1].before.append(line)
    return Phases(tuple(once), tuple(passes), tuple(_spilled(passes, pass_of, form)))


def _is_single(line: Line, form: Form) -> bool:
    return line.op not in ROW_OPS and line.name[0] == "t" and form.single(line.name)


def _is_stored_wide(line: Line, form: Form) -> bool:
    """A value of a row whose tensor has it for each element."""
    result = line.name[0] == "o" and line.op not in ROW_OPS
    return result and not form.full(line.name) and form.stored_full(line.name)


def _spilled(
    passes: Sequence[Pass], pass_of: Mapping[str, int], form: Form
) -> list[str]:
    """Full temporaries that are read in a later pass than the one that makes them."""
    found: dict[str, None] = {}
    for number, one in enumerate(passes):
        for line in one.during:
            for name in line.reads:
                if name[0] == "t" and form.full(name) and pass_of.get(name, number) < number:
                    found[name] = None
    return list(found)
