"""Writes nodes flat where they fit into a line, else with breaks at pipes and commas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from flowc.syntax import tree as t
from flowc.syntax.style.comments import Comments, neat
from flowc.syntax.style.flat import BREAK, Flat, pieces
from flowc.syntax.style.pieces import UP_TO_CLOSER, Braces, Chain, Group, Link, Piece

WIDTH = 100
STEP = 2  # of indentation

_LITERALS = (t.Number, t.String, t.Bool)
_UP_TO_BRACE = re.compile(r"(?:[^#{]|#[^\n]*)*+\{")
_BLANK_LINE = re.compile(r"\n[ \t\r\f]*\n")


class Writer:
    """`column` is where a text starts, `indent` the indentation of its line, and `tail` how many
    characters have to follow it on its last line.
    """

    def __init__(self, tree: t.Tree) -> None:
        self.text = tree.source.text
        self.comments = Comments(tree.source, tree.comments)
        self.flat = Flat(self.comments)

    def node(self, node: Any, column: int, indent: int, tail: int) -> str:
        flat = self.flat.text([node], WIDTH - column - tail)
        return self._spread(pieces(node), column, indent, tail) if flat is None else flat

    # --- over several lines -------------------------------------------------------------------

    def _spread(self, parts: Sequence[Piece], column: int, indent: int, tail: int) -> str:
        written = ""
        for place, part in enumerate(parts):
            at = _column_after(written, column)
            rest = self._length(parts[place + 1 :], tail)
            match part:
                case str():
                    written += part
                case Group():
                    flat = self.flat.text([part], WIDTH - at - rest)
                    written += self._group(part, at, indent, rest) if flat is None else flat
                case Chain():
                    written += self._chain(part.links, at, indent, rest)
                case Braces():
                    written += self._braces(part, indent)
                case _:
                    written += self.node(part, at, indent, rest)
        return written

    def _length(self, following: Sequence[Piece], tail: int) -> int:
        """How many characters must follow on the same line, up to where it may break."""
        length = 0
        for part in following:
            match part:
                case str():
                    length += len(part)
                case Group():
                    return length + len(part.open)
                case Braces():
                    return length + len(" {")
                case _:
                    flat = self.flat.text([part], WIDTH)
                    length += WIDTH if flat is None else len(flat)
        return length + tail

    def _chain(self, links: Sequence[Link], column: int, indent: int, tail: int) -> str:
        """One operand a line, behind its operator."""
        first, *others = links
        written = self._operand(first, column, indent, 0)
        end = first.operand.span.end
        for place, link in enumerate(others, 1):
            start = " " * (indent + STEP) + link.operator + " "
            written += self._between(end, link.operand.span.start, indent + STEP) + BREAK
            last = tail if place == len(others) else 0
            written += start + self._operand(link, len(start), indent + STEP, last)
            end = link.operand.span.end
        return written

    def _operand(self, link: Link, column: int, indent: int, tail: int) -> str:
        if not link.bracketed:
            return self.node(link.operand, column, indent, tail)
        return f"({self.node(link.operand, column + 1, indent, tail + 1)})"

    def _group(self, group: Group, column: int, indent: int, tail: int) -> str:
        """One item a line; a list of plain values fills its lines."""
        items, inner = group.items, indent + STEP
        first, last = items[0].span.start, items[-1].span.end
        if not group.open:
            return self._items(group, column, indent, tail)
        written = group.open.rstrip() + self._own_lines(first, inner)
        if all(map(_is_plain, items)) and not self.comments.any_between(first, last):
            written += self._filled(items, inner)
        else:
            written += BREAK + " " * inner + self._items(group, inner, inner, 0)
        written += self._own_lines(group.end, inner)
        return written + BREAK + " " * indent + group.close.lstrip()

    def _items(self, group: Group, column: int, indent: int, tail: int) -> str:
        """The items, each but the first on a line of its own."""
        items, written = group.items, ""
        inner = indent if group.open else indent + STEP
        for place, item in enumerate(items):
            comma = "," if place + 1 < len(items) else ""
            here = indent if place == 0 else inner
            written += self.node(item, column, here, len(comma) or tail) + comma
            if not comma:
                return written + (self._behind(item.span.end, ",)") if group.open else "")
            start = items[place + 1].span.start
            written += self._between(item.span.end, start, inner) + BREAK + " " * inner
            column = inner
        return written

    def _filled(self, items: Sequence[Any], indent: int) -> str:
        written, column = "", WIDTH
        for place, item in enumerate(items):
            text = self.node(item, 0, 0, 0) + ("," if place + 1 < len(items) else "")
            if column + 1 + len(text) > WIDTH:
                written, column = written + BREAK + " " * indent + text, indent + len(text)
            else:
                written, column = f"{written} {text}", column + 1 + len(text)
        return written

    # --- statements ---------------------------------------------------------------------------

    def _braces(self, braces: Braces, indent: int) -> str:
        end = self._closer(braces)
        first = braces.statements[0].span.start if braces.statements else end
        head = self.comments.behind_brace(first)
        lines = self.statements(braces.statements, indent + STEP, end)
        if not lines and head is None:
            return " {}"
        opening = " {" + (f"  {neat(head)}" if head else "")
        return BREAK.join([opening, *lines, " " * indent + "}"])

    def _closer(self, braces: Braces) -> int:
        """The offset of the closing brace."""
        after = braces.statements[-1].span.end if braces.statements else None
        if after is None:
            opening = _UP_TO_BRACE.match(self.text, braces.before)
            after = opening.end() if opening else braces.owner.end
        skipped = UP_TO_CLOSER.match(self.text, after)
        return skipped.end() if skipped else after

    def statements(self, statements: Sequence[Any], indent: int, end: int) -> list[str]:
        """Statements and the comments between them, up to the offset `end`."""
        lines = _Lines(self.text, indent)
        for statement in statements:
            start, stop = statement.span.start, statement.span.end
            self._add_comments(lines, start)
            text = self._statement(statement, indent, lines)
            behind = self.comments.behind(stop, ",)")
            lines.add(text + _trailing(behind), start, behind.span.end if behind else stop)
        self._add_comments(lines, end)
        return lines.lines

    def _add_comments(self, lines: _Lines, before: int) -> None:
        for comment in self.comments.before(before):
            lines.add(neat(comment), comment.span.start, comment.span.end)

    def _statement(self, statement: Any, indent: int, lines: _Lines) -> str:
        """The statement; comments that find no place inside of it go before it."""
        since = self.comments.taken
        text = self.node(statement, indent, indent, 0)
        missed = self.comments.before(statement.span.end)
        if not missed:
            return text
        start = statement.span.start
        self.comments.move_up(len(missed), since, start)
        for comment in self.comments.before(start):
            lines.add(neat(comment), start, start)
        return self.node(statement, indent, indent, 0)

    # --- comments -----------------------------------------------------------------------------

    def _between(self, end: int, start: int, indent: int) -> str:
        """The comments between two parts that stand on lines of their own."""
        return self._behind(end, ",)") + self._own_lines(start, indent)

    def _behind(self, end: int, over: str) -> str:
        return _trailing(self.comments.behind(end, over))

    def _own_lines(self, before: int, indent: int) -> str:
        comments = self.comments.before(before)
        return "".join(BREAK + " " * indent + neat(comment) for comment in comments)


class _Lines:
    """Lines under way; where the author left lines blank, one blank line is kept."""

    def __init__(self, text: str, indent: int) -> None:
        self.text = text
        self.margin = " " * indent
        self.lines: list[str] = []
        self.end = 0

    def add(self, text: str, start: int, end: int) -> None:
        """Add what stood between two offsets."""
        if self.lines and _BLANK_LINE.search(self.text, self.end, start):
            self.lines.append("")
        self.lines.append(self.margin + text)
        self.end = max(self.end, end)


def _is_plain(item: Any) -> bool:
    return isinstance(item.operand if isinstance(item, t.Unary) else item, _LITERALS)


def _trailing(comment: t.Comment | None) -> str:
    return f"  {neat(comment)}" if comment else ""


def _column_after(written: str, column: int) -> int:
    last = written.rfind(BREAK)
    return column + len(written) if last < 0 else len(written) - last - 1
