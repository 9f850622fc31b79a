"""Tree to text, in the one style. Comments are kept, and at most one blank line in a row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from flowc.diagnostic import Sink
from flowc.source import Source, Span
from flowc.syntax import tree as t
from flowc.syntax.comments import Comments, neat
from flowc.syntax.parse import parse
from flowc.syntax.pieces import Braces, Chain, Group, Link, Piece, pieces

WIDTH = 100
STEP = 2  # of indentation

_BLANK_LINE = re.compile(r"\n[ \t\r\f]*\n")
_UP_TO_BRACE = re.compile(r"(?:[^#{]|#[^\n]*)*+\{")
_UP_TO_CLOSER = re.compile(r"(?:[\s)]|#[^\n]*)*+")


def format_text(source: Source, sink: Sink) -> str:
    """The text in the one style; as it is, if it has mistakes (which the sink is told)."""
    found = Sink()
    tree = parse(source, found)
    for diagnostic in found.diagnostics:
        sink.report(diagnostic)
    return source.text if found.errors else format_tree(tree)


def format_tree(tree: t.Tree) -> str:
    """The text of a Tree that was parsed without mistakes."""
    writer = _Writer(tree)
    lines = writer.statements(tree.items, 0, len(tree.source.text))
    return "\n".join([*lines, ""]) if lines else ""


class _Writer:
    """Writes nodes flat where they fit into a line, else with breaks at pipes and commas.

    `column` is where a text starts, `indent` the indentation of its line, and `tail` how many
    characters have to follow it on its last line.
    """

    def __init__(self, tree: t.Tree) -> None:
        self.text = tree.source.text
        self.comments = Comments(tree.source, tree.comments)

    # --- one line -----------------------------------------------------------------------------

    def flat(self, parts: Sequence[Piece], room: int) -> str | None:
        """The pieces on one line, or None if that takes more than `room` or cannot be."""
        texts = []
        for text in self._flat_texts(parts):
            room -= len(text)
            if room < 0 or text == "\n":
                return None
            texts.append(text)
        return "".join(texts)

    def _flat_texts(self, parts: Sequence[Piece]) -> Iterator[str]:
        for part in parts:
            match part:
                case str():
                    yield part
                case Group():
                    yield part.open
                    for place, item in enumerate(part.items):
                        yield ", " if place else ""
                        yield from self._flat_node(item)
                    yield part.close
                case Chain():
                    for link in part.links:
                        yield f" {link.operator} " if link.operator else ""
                        inner = ["(", link.operand, ")"] if link.bracketed else [link.operand]
                        yield from self._flat_texts(inner)
                case Braces():
                    yield from self._flat_braces(part)
                case _:
                    yield from self._flat_node(part)

    def _flat_node(self, node: Any) -> Iterator[str]:
        if self.comments.any_between(node.span.start, node.span.end):
            yield "\n"
        yield from self._flat_texts(pieces(node))

    def _flat_braces(self, braces: Braces) -> Iterator[str]:
        if not braces.statements:
            yield " {}"
            return
        yield "\n" if "\n" in braces.owner.text else " { "
        for statement in braces.statements:
            yield from self._flat_node(statement)
        yield " }"
