"""Pieces of Markdown that the pages share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
NOTE = "<!-- Written by docs/generate.py from the code; `make docs` writes it anew. -->"

Lines = Iterator[str]


def page(title: str, *parts: Iterable[str]) -> str:
    return "\n".join([f"# {title}", "", NOTE, "", *(line for part in parts for line in part)])


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Lines:
    yield "| " + " | ".join(heads) + " |"
    yield "|" + " --- |" * len(heads)
    for row in rows:
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
    yield ""


def sentence(text: str) -> str:
    """On one line, with a full stop."""
    whole = " ".join(text.split())
    return whole if whole.endswith(".") else whole + "."


def literal(value: Any) -> str:
    """A value as the language writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(value)


def quoted(text: str) -> str:
    """Texts of the language, which Markdown would read otherwise, as code."""
    return re.sub(r'"[^"]*"', r"`\g<0>`", text)
