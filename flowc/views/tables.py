"""Tables for a terminal: columns as wide as they need be, numbers to the right."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "
INDENT = "  "


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Lines with a head; the columns named in `right` are flush right. No rows: the head alone.

    A column that is empty in all rows is left out.
    """
    kept = [c for c in range(len(heads)) if not rows or any(row[c] for row in rows)]
    lines = [[heads[c] for c in kept], *([row[c] for c in kept] for row in rows)]
    widths = [max(len(line[c]) for line in lines) for c in range(len(kept))]
    flush = [heads[c] in right for c in kept]
    return "\n".join(_line(line, widths, flush) for line in lines)


def _line(cells: Sequence[str], widths: Sequence[int], flush: Sequence[bool]) -> str:
    padded = (
        cell.rjust(width) if to_the_right else cell.ljust(width)
        for cell, width, to_the_right in zip(cells, widths, flush, strict=True)
    )
    return (INDENT + GAP.join(padded)).rstrip()


def pairs(items: Sequence[tuple[str, str]]) -> str:
    """Names and what they are, one a line."""
    width = max((len(name) for name, _ in items), default=0)
    return "\n".join(f"{INDENT}{name.ljust(width)}{GAP}{value}".rstrip() for name, value in items)


def sections(parts: Sequence[tuple[str, str]]) -> str:
    """Parts with a blank line between them, each below its title if it has one.

    Those without a body are left out.
    """
    shown = [f"{title}\n{body}" if title else body for title, body in parts if body]
    return "\n\n".join(shown) + "\n"


def plural(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def bytes_text(count: int) -> str:
    """`401.4 kB`: decimal units, as everywhere in flowc's messages."""
    return _scaled(count, ("B", "kB", "MB", "GB", "TB"))


def flops_text(count: int) -> str:
    """`55.6 M`."""
    return _scaled(count, ("", "k", "M", "G", "T"))


def _scaled(count: int, units: Sequence[str]) -> str:
    value, unit = float(count), 0
    while value >= 999.95 and unit + 1 < len(units):
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {units[unit]}" if unit else f"{count} {units[0]}".rstrip()
