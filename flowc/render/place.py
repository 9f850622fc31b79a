"""Spans as the numbers that tools want: lines and columns from 1, ends exclusive."""

from __future__ import annotations

from typing import NamedTuple

from flowc.source import Span


class Region(NamedTuple):
    """Columns count characters; `end_column` is the one behind the last character."""

    line: int
    column: int
    end_line: int
    end_column: int


def region(span: Span) -> Region:
    """Where a span starts and ends."""
    return Region(*span.source.position(span.start), *span.source.position(span.end))
