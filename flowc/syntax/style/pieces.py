"""What a node is written as: pieces, some of which may be spread over lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Union

from flowc.source import Span
from flowc.syntax import tree as t

UP_TO_CLOSER = re.compile(r"(?:[\s,)]|#[^\n]*)*+")


@dataclass(frozen=True, slots=True)
class Group:
    """Items with commas, in brackets or not; its comments stand between `start` and `end`."""

    open: str
    items: Sequence[Any]
    close: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Link:
    """An operand of a chain, with the operator before it; the first has none."""

    operator: str
    operand: Any
    bracketed: bool


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands at one level of precedence."""

    links: Sequence[Link]


@dataclass(frozen=True, slots=True)
class Braces:
    """Statements. `before`: an offset between the start of their owner and the opening brace."""

    statements: Sequence[Any]
    before: int
    owner: Span


Piece = Union[str, Group, Chain, Braces, Any]  # noqa: UP007  (Any: a node)

Writers = dict[str, Callable[[Any], list[Piece]]]  # by the name of the kind of node


def group(items: Sequence[Any], open: str = "(", close: str = ")") -> Group:
    """A group of which only the items have places."""
    if not items:
        return Group(open, items, close, 0, 0)
    first, last = items[0].span, items[-1].span
    closing = UP_TO_CLOSER.match(last.source.text, last.end) if close else None
    return Group(open, items, close, first.start, closing.end() if closing else last.end)


def group_behind(before: Any, open: str, items: Sequence[Any], close: str, owner: Any) -> Group:
    """The brackets that `owner` ends with, behind its part `before`."""
    return Group(open, items, close, before.span.end, owner.span.end)


def some_names(names: Sequence[t.Name]) -> str:
    """One name bare, several in parentheses."""
    text = ", ".join(name.text for name in names)
    return f"({text})" if len(names) > 1 else text


def typed(type: Any) -> list[Piece]:
    return [": ", type] if type is not None else []


def valued(value: Any) -> list[Piece]:
    return [" = ", value] if value is not None else []
