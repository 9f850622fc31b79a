"""How pieces of a text are shown in messages."""

from __future__ import annotations

from flowc.source import Span

SHORT = 24  # characters of an operand that is named by its own text


def shown(text: str, most: int = 40) -> str:
    """The text on one line, cut where it is long."""
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def spelt(span: Span) -> str | None:
    """The author's text, where it is short enough to stand for the thing itself."""
    text = span.text
    return text if 0 < len(text) <= SHORT and "\n" not in text else None


def counted(count: int, noun: str) -> str:
    """`1 name`, `2 names`."""
    return f"{count} {noun}{'s' * (count != 1)}"
