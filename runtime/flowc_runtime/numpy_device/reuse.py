"""Temporaries that lie where a result will: less memory to touch, and more lines in place."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from flowc_runtime.blocking import Blocking
from flowc_runtime.expression import Expression, Line, in_place
from flowc_runtime.ops.op import Array


def early_places(
    expression: Expression, walk: Blocking, arrays: Mapping[str, Array]
) -> dict[str, str]:
    """For some temporaries the result in whose memory they can be computed.

    That is where the line that reads a temporary last may write over it, and writes the result
    (or another temporary that lies there). A result may have taken over an operand's memory; then
    the operand must not be read any more.
    """
    lines = expression.lines
    last = {name: k for k, line in enumerate(lines) for name in line.reads}
    at = {line.name: k for k, line in enumerate(lines)}
    places: dict[str, str] = {}
    for line in reversed(lines):
        result = places.get(line.name, line.name)
        if result[0] != "o":
            continue
        for name in dict.fromkeys(line.reads):
            if name[0] == "t" and last[name] == at[line.name] and _fits(line, name, result, walk):
                if _harmless(lines[at[name]], at[name], result, last, arrays):
                    places[name] = result
                    break
    return places


def _fits(line: Line, name: str, result: str, walk: Blocking) -> bool:
    """Whether the line may write over its argument, which has the form of the result."""
    same_dtype = walk.types[name].dtype == walk.types[result].dtype
    same_dims = walk.values[name] == walk.dims[result] == walk.values[line.name]
    return same_dtype and same_dims and _writes_over(line, name)


def _harmless(
    line: Line, position: int, result: str, last: Mapping[str, int], arrays: Mapping[str, Array]
) -> bool:
    """Whether the line may write there already, as no operand in that memory is needed."""
    for name, array in arrays.items():
        if name[0] == "i" and np.may_share_memory(array, arrays[result]):
            when = last.get(name, -1)
            if when > position or (when == position and not _writes_over(line, name)):
                return False
    return True


def _writes_over(line: Line, name: str) -> bool:
    return all(k in in_place(line.op) for k, arg in enumerate(line.args) if arg == name)
