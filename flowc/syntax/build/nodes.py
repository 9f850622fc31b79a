"""What the builders of nodes share."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from flowc.source import Span
from flowc.syntax import messages, tree
from flowc.syntax.messages import Mistake
from flowc.syntax.tokens import Token

Parts = list[Any]  # of a rule: tokens, nodes, and None for an optional part that is missing

MAX_INTEGER = 2**63 - 1
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


class Body(NamedTuple):
    """The statements between two braces, and the place of the closing one."""

    statements: tuple[Any, ...]
    span: Span


def named(token: Token) -> tree.Name:
    return tree.Name(token.span, token.text)


def span_of(parts: Parts) -> Span:
    """From the first part that is there to the last one."""
    first, last = (next(p.span for p in way if p is not None) for way in (parts, reversed(parts)))
    return Span(first.source, first.start, last.end)


def present(parts: Parts) -> tuple[Any, ...]:
    return tuple(part for part in parts if part is not None)


def whole_number(token: Token) -> int:
    if len(token.text) > 30 or int(token.text) > MAX_INTEGER:
        raise Mistake(messages.number_too_big(token.span))
    return int(token.text)


def quoted(token: Token) -> str:
    """The value of a quoted text."""
    inner = token.text[1:-1]
    for escape in _ESCAPE.finditer(inner):
        if escape[1] not in _ESCAPES:
            start = token.span.start + 1 + escape.start()
            raise Mistake(messages.bad_escape(Span(token.span.source, start, start + 2)))
    return _ESCAPE.sub(lambda escape: _ESCAPES[escape[1]], inner)
