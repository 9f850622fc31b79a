"""Walks over a Tree that need no recursion."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any

from flowc.source import Span

MAX_DEPTH = 150  # of nodes in nodes: what recursive walks over a Tree can rely on


def beyond(root: Any, most: int) -> Span | None:
    """The place of a node that lies more than `most` deep, if there is one."""
    level, depth = [root], 1
    while level:
        if depth > most:
            return _span(level[0])
        level = [child for node in level for child in children(node)]
        depth += 1
    return None


def children(node: Any) -> Iterator[Any]:
    """The nodes that a node holds, in the order of its fields."""
    for name in _parts(type(node)):  # type: ignore[arg-type]
        value = getattr(node, name)
        if isinstance(value, tuple):
            yield from value
        elif is_dataclass(value):
            yield value


@cache
def _parts(kind: type) -> tuple[str, ...]:
    """The fields of a kind of node that may hold nodes."""
    plain = ("Span", "str", "bool", "int", "int | float", "str | None")
    return tuple(field.name for field in fields(kind) if field.type not in plain)


def _span(node: Any) -> Span:
    span: Span = node.span
    return span
