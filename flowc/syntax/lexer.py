"""Text to tokens and comments."""

from __future__ import annotations

from flowc.diagnostic import Limit
from flowc.source import Source, Span
from flowc.syntax import messages
from flowc.syntax.grammar import scanner
from flowc.syntax.slips import MISTAKES, mend
from flowc.syntax.tokens import Report, Token
from flowc.syntax.tree import Comment

MAX_CHARACTERS = 1 << 20
MAX_TOKENS = 100_000  # comments and line ends are counted too


def tokenize(source: Source, report: Report) -> tuple[list[Token], list[Comment]]:
    """The tokens and the comments of a text. Raises Limit if it is too large."""
    if len(source.text) > MAX_CHARACTERS:
        raise Limit(messages.too_long(source, MAX_CHARACTERS))
    tokens: list[Token] = []
    comments: list[Comment] = []
    first = True
    for count, match in enumerate(scanner().finditer(source.text)):
        kind = match.lastgroup
        assert kind is not None  # every alternative is a named group
        span = Span(source, *match.span(kind))
        if count == MAX_TOKENS:
            raise Limit(messages.too_many_tokens(span, MAX_TOKENS))
        if kind == "NEWLINE":
            first = True
        elif kind == "COMMENT":
            comments.append(Comment(span, match[kind].rstrip()))
        elif kind == "EOF":
            break
        elif kind in MISTAKES:
            tokens.extend(mend(Token(kind, match[kind], span, first), report))
            first = match[kind] == ";"
        else:
            tokens.append(Token(kind, match[kind], span, first))
            first = False
    return tokens, comments
