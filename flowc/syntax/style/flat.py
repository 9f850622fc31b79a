"""Nodes on one line, as far as they can be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from flowc.syntax.style.comments import Comments
from flowc.syntax.style.expressions import EXPRESSIONS
from flowc.syntax.style.items import ITEMS
from flowc.syntax.style.pieces import Braces, Chain, Group, Link, Piece
from flowc.syntax.style.statements import STATEMENTS

BREAK = "\n"

WRITERS = {**EXPRESSIONS, **STATEMENTS, **ITEMS}


class Flat:
    """Writes pieces without breaks, unless a comment or a body needs some."""

    def __init__(self, comments: Comments) -> None:
        self.comments = comments

    def text(self, parts: Sequence[Piece], room: int) -> str | None:
        """The pieces on one line, or None if that takes more than `room` or cannot be."""
        texts = []
        for text in self._texts(parts):
            room -= len(text)
            if room < 0 or text == BREAK:
                return None
            texts.append(text)
        return "".join(texts)

    def _texts(self, parts: Sequence[Piece]) -> Iterator[str]:
        for part in parts:
            match part:
                case str():
                    yield part
                case Group():
                    yield BREAK if self.comments.any_between(part.start, part.end) else part.open
                    for place, item in enumerate(part.items):
                        yield from self._texts([", ", item] if place else [item])
                    yield part.close
                case Chain():
                    for link in part.links:
                        yield from self._texts(_of_link(link))
                case Braces():
                    yield from self._braces(part)
                case _ if self.comments.any_between(part.span.start, part.span.end):
                    yield BREAK
                case _:
                    yield from self._texts(pieces(part))

    def _braces(self, braces: Braces) -> Iterator[str]:
        """A single statement stays on the line of its braces where the author put it there."""
        if not braces.statements:
            yield " {}"
        elif BREAK in braces.owner.text or len(braces.statements) > 1:
            yield BREAK
        else:
            yield from self._texts([" { ", braces.statements[0], " }"])


def pieces(node: Any) -> list[Piece]:
    return WRITERS[type(node).__name__](node)


def _of_link(link: Link) -> list[Piece]:
    space = "" if link.operator in ("", "..") else " "
    operator = [f"{space}{link.operator}{space}"]
    return [*operator, *(["(", link.operand, ")"] if link.bracketed else [link.operand])]
