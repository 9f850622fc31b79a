"""What is made from the grammar, once, when a text is first parsed: scanner and parse tables."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from flowc.syntax.automaton import Reduction, Tables
from flowc.syntax.build import Builder
from flowc.syntax.lark_tables import fingerprint, make_tables
from flowc_grammar import TABLES

Parts = list[Any]

# What the grammar does not know: line ends, and what people write by mistake.
NEWLINE = ("NEWLINE", r"\n[ \t\r\f\n]*")
SLIP = ("SLIP", r":=|;|&&|\|\||=>|[-+*/]=(?!=)|!(?!=)")
REST = (
    ("BAD_STRING", r"\"[^\n]*|'(?:[^'\\\n]|\\[^\n])*+'?"),
    ("BAD_NUMBER", r"[0-9]\w*(?:\.[0-9]\w*)?"),
    ("BAD_NAME", r"[^\W\d]\w*"),
    ("BAD_CHARACTER", r"(?P<one>.)(?P=one){0,99}"),
    ("EOF", r"\Z"),
)


@cache
def _data() -> Mapping[str, Any]:
    """The stored tables, or fresh ones if those are missing or of another grammar."""
    if TABLES.is_file():
        data: dict[str, Any] = json.loads(TABLES.read_text("utf-8"))
        if data["grammar"] == fingerprint():
            return data
    return make_tables()


@cache
def spellings() -> dict[str, str]:
    """How each terminal with one spelling is written, by its name."""
    return {name: text for name, (kind, text) in _data()["terminals"].items() if kind == "str"}


@cache
def scanner() -> re.Pattern[str]:
    """An expression that matches at every place of every text; the group names what is there."""
    terminals = _data()["terminals"].items()
    shapes = {name: text for name, (kind, text) in terminals if kind == "re"}
    marks = [(name, text) for name, text in spellings().items() if not text.isidentifier()]
    marks.sort(key=lambda mark: -len(mark[1]))
    groups = [
        ("NAME", shapes.pop("NAME")), NEWLINE, SLIP, *sorted(shapes.items()),
        *((name, re.escape(text)) for name, text in marks), *REST,
    ]  # fmt: skip
    named = "|".join(f"(?P<{name}>{pattern})" for name, pattern in groups)
    return re.compile(rf"[ \t\r\f]*(?:{named})")


@cache
def tables() -> Tables:
    """The tables of the automaton, with the builders of the nodes."""
    data, builder = _data(), Builder()
    rules = [_reduction(rule, builder) for rule in data["rules"]]
    states = [
        {symbol: to if to >= 0 else rules[-1 - to] for symbol, to in state.items()}
        for state in data["states"]
    ]
    return Tables(states, data["start"], data["end"])


def _reduction(rule: Mapping[str, Any], builder: Builder) -> Reduction:
    """The rule with what it builds: the parts themselves, where the builder has no method."""
    build = getattr(builder, rule["method"], _themselves)
    if rule["only"]:
        build = _unless_single(build)
    if rule["parts"] != [[index, 0] for index in range(rule["size"])]:
        build = _selecting(rule["parts"], build)
    return Reduction(rule["size"], rule["symbol"], build)


def _themselves(parts: Parts) -> Parts:
    return parts  # no copy: lists grow by one part at a time


def _unless_single(build: Callable[[Parts], Any]) -> Callable[[Parts], Any]:
    return lambda parts: parts[0] if len(parts) == 1 else build(parts)


def _selecting(
    selection: Sequence[tuple[int, int]], build: Callable[[Parts], Any]
) -> Callable[[Parts], Any]:
    """Leaves out marks, puts None for what is missing, and lists in place of their items."""

    def select(parts: Parts) -> Any:
        chosen: Parts = []
        for index, inlined in selection:
            if not inlined:
                chosen.append(parts[index] if index >= 0 else None)
            elif chosen:
                chosen += parts[index]
            else:  # a list that grows at its end is taken as it is
                chosen = parts[index]
        return build(chosen)

    return select
