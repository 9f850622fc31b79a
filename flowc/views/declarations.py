"""Declarations: the statements of the text behind spans, found again by parsing it once more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from flowc.diagnostic import Sink
from flowc.source import Source, Span
from flowc.syntax import tree as t
from flowc.syntax.parse import parse
from flowc.syntax.walk import children


@dataclass
class Declarations:
    """Trees by source, each parsed when it is first asked for."""

    trees: dict[Source, t.Tree] = field(default_factory=dict)

    def tree(self, source: Source) -> t.Tree:
        if source not in self.trees:
            self.trees[source] = parse(source, Sink())
        return self.trees[source]

    def node_at(self, span: Span) -> Any:
        """The outermost node that stands at exactly this span; None where there is none."""
        for node in walk(self.tree(span.source)):
            if (node.span.start, node.span.end) == (span.start, span.end):
                return node
        return None

    def bindings(self, source: Source, name: str) -> list[t.Bind]:
        """Every statement of a text that binds the name to a value."""
        return [
            node
            for node in walk(self.tree(source))
            if isinstance(node, t.Bind) and name in (target.text for target in node.targets)
        ]


def walk(root: Any) -> Iterator[Any]:
    """All nodes below a Tree's root, outer ones first, in the order of the text."""
    stack = list(reversed(list(children(root))))
    while stack:
        node = stack.pop()
        if hasattr(node, "span"):
            yield node
            stack.extend(reversed(list(children(node))))


def one_line(span: Span) -> str:
    """The text of a span with all its white space as single blanks."""
    return " ".join(span.text.split())
