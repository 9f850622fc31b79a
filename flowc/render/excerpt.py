"""Lines of a text with marks under them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from unicodedata import category, combining, east_asian_width

from flowc.diagnostic import Label
from flowc.source import Source

MOST_COLUMNS = 120  # of a line that are shown
TAB = "    "
_LEAD = 40  # columns shown before the first mark of a line that is cut

Paint = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Mark:
    """A label, the role that it is painted in, and the sign that it is underlined with."""

    label: Label
    role: str
    sign: str


def printable(text: str) -> str:
    """The text without what would move the cursor, change colours or the reading direction."""
    return "".join("�" if category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text)


def excerpt(source: Source, marks: Sequence[Mark], margin: int, paint: Paint) -> list[str]:
    """The marked lines with line numbers and marks; `...` stands for lines left out."""
    bar = paint("frame", "|")
    lines = [f"{' ' * margin} {bar}"]
    before = None
    for number, here in _by_line(marks):
        if before is not None and number == before + 2:
            lines.append(_numbered(number - 1, margin, paint, _shown(source, number - 1, []).text))
        elif before is not None and number > before + 1:
            lines.append(paint("frame", "..."))
        shown = _shown(source, number, here)
        lines.append(_numbered(number, margin, paint, shown.text))
        lines += [f"{' ' * margin} {bar} {row}" for row in shown.rows(paint)]
        before = number
    return lines


def _by_line(marks: Sequence[Mark]) -> list[tuple[int, list[Mark]]]:
    lines: dict[int, list[Mark]] = {}
    for mark in marks:
        lines.setdefault(mark.label.span.line, []).append(mark)
    return sorted(lines.items())


def _numbered(number: int, margin: int, paint: Paint, text: str) -> str:
    return f"{paint('frame', f'{number:>{margin}} |')} {text}".rstrip()


@dataclass(frozen=True, slots=True)
class _Underline:
    """A mark in the columns of the line as it is shown."""

    mark: Mark
    start: int
    width: int


@dataclass(frozen=True, slots=True)
class _Shown:
    text: str
    underlines: Sequence[_Underline]  # from left to right

    def rows(self, paint: Paint) -> list[str]:
        """The row of signs with the last text, then the other texts, each below its place."""
        signs = _signs(self.underlines, paint)
        *others, last = self.underlines
        rows = [f"{signs} {_text(last, paint)}".rstrip()]
        texts = [u for u in reversed(others) if u.mark.label.text]
        return rows + [" " * u.start + _text(u, paint) for u in texts]


def _signs(underlines: Sequence[_Underline], paint: Paint) -> str:
    """All underlines in one row; where two overlap, the main one is on top."""
    row: list[tuple[str, str]] = []
    for underline in sorted(underlines, key=lambda u: u.mark.sign == "^"):
        end = underline.start + underline.width
        row += [("frame", " ")] * (end - len(row))
        row[underline.start : end] = [(underline.mark.role, underline.mark.sign)] * underline.width
    return "".join(sign if sign == " " else paint(role, sign) for role, sign in row)


def _text(underline: _Underline, paint: Paint) -> str:
    return paint(underline.mark.role, printable(underline.mark.label.text))


def _shown(source: Source, number: int, marks: Sequence[Mark]) -> _Shown:
    line = source.lines[number - 1].rstrip("\r")
    columns = [(source.position(m.label.span.start)[1] - 1, m) for m in marks]
    first = min((start for start, _ in columns), default=0)
    cut = max(0, first - _LEAD) if len(line) > MOST_COLUMNS else 0
    piece = line[cut : cut + MOST_COLUMNS]
    lead = "…" if cut else ""
    underlines = []
    for start, mark in sorted(columns, key=lambda column: column[0]):
        at = min(max(start - cut, 0), len(piece))
        length = mark.label.span.end - mark.label.span.start
        inner = _display(piece[at : at + length])
        column = len(lead) + _width(_display(piece[:at]))
        underlines.append(_Underline(mark, column, max(1, _width(inner))))
    tail = "…" if cut + MOST_COLUMNS < len(line) else ""
    return _Shown(lead + _display(piece) + tail, underlines)


def _display(text: str) -> str:
    return printable(text.replace("\t", TAB))


def _width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)
