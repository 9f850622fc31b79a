"""Text to Tree."""

from __future__ import annotations

import re
from collections.abc import Sequence

from flowc.collector import uncollected
from flowc.diagnostic import MAX_REPORTED, Diagnostic, Limit, Sink
from flowc.source import Source, Span
from flowc.syntax import messages
from flowc.syntax.layout import arrange
from flowc.syntax.lexer import tokenize
from flowc.syntax.recovery import Parsing
from flowc.syntax.tokens import Report
from flowc.syntax.tree import Item, Tree, Version
from flowc.syntax.walk import MAX_DEPTH, beyond

LANGUAGE_VERSION = 1
_VERSION_LINE = re.compile(r"(?:\s|#[^\n]*\n)*+flow[ \t]+([0-9]+)")


class _Enough(Exception):
    """As many mistakes as anybody reads."""


def parse(source: Source, sink: Sink) -> Tree:
    """The Tree of a text. What a mistake spoils is missing from it, and told to the sink."""
    found = Sink()

    def report(diagnostic: Diagnostic) -> None:
        found.report(diagnostic)
        if len(found.diagnostics) >= MAX_REPORTED:
            raise _Enough

    tree = Tree(source, (), ())
    try:
        with uncollected():
            tree = _tree(source, report)
    except Limit as limit:
        found.report(limit.diagnostic)
    except _Enough:
        pass
    for diagnostic in sorted(found.diagnostics, key=_offset):
        sink.report(diagnostic)
    return tree


def _tree(source: Source, report: Report) -> Tree:
    _refuse_newer(source)
    tokens, comments = tokenize(source, report)
    parsing = Parsing(arrange(tokens, report), report)
    items = parsing.items()
    sound: list[Item] = []
    for item in items:
        if _is_sound(item, items, report):
            sound.append(item)
        else:
            parsing.lost.update(t.text for t in tokens if _within(t.span, item.span))
    return Tree(source, tuple(sound), tuple(comments), frozenset(parsing.lost))


def _within(a: Span, b: Span) -> bool:
    return b.start <= a.start and a.end <= b.end


def _refuse_newer(source: Source) -> None:
    """A text of a newer language is refused as a whole, before its words are judged."""
    line = _VERSION_LINE.match(source.text)
    if line and line[1].lstrip("0") != str(LANGUAGE_VERSION):
        raise Limit(messages.newer_language(Span(source, *line.span(1)), LANGUAGE_VERSION))


def _is_sound(item: Item, items: Sequence[Item], report: Report) -> bool:
    deep = beyond(item, MAX_DEPTH)
    if deep is not None:
        report(messages.too_deep(deep, MAX_DEPTH))
        return False
    if isinstance(item, Version) and item is not items[0]:
        report(messages.version_not_first(item.span))
        return False
    return True


def _offset(diagnostic: Diagnostic) -> int:
    return diagnostic.label.span.start if diagnostic.label else 0
