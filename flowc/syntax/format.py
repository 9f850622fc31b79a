"""Text to text in the one style: what `flowc fmt` does."""

from __future__ import annotations

from flowc.diagnostic import Sink
from flowc.source import Source
from flowc.syntax.parse import parse
from flowc.syntax.style.flat import BREAK
from flowc.syntax.style.writer import Writer
from flowc.syntax.tree import Tree


def format_text(source: Source, sink: Sink) -> str:
    """The text in the one style. A text with mistakes is left as it is, and the sink is told.

    Comments are kept, and blank lines, though only one in a row.
    """
    found = Sink()
    tree = parse(source, found)
    for diagnostic in found.diagnostics:
        sink.report(diagnostic)
    return source.text if found.errors else format_tree(tree)


def format_tree(tree: Tree) -> str:
    """The text of a Tree that was parsed without mistakes."""
    lines = Writer(tree).statements(tree.items, 0, len(tree.source.text))
    return BREAK.join([*lines, ""]) if lines else ""
