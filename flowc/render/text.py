"""Diagnostics for people: the lines of the text, and marks under the places meant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from flowc.diagnostic import Diagnostic, Label
from flowc.render.excerpt import Mark, excerpt, printable
from flowc.source import Source

Paint = Callable[[str, str], str]  # a role and a text to the text as it is shown

_COLORS = {
    "error": "\033[1;31m",
    "warning": "\033[1;33m",
    "message": "\033[1m",
    "frame": "\033[1;34m",
    "other": "\033[1;34m",
    "help": "\033[1;36m",
}


def render_text(diagnostics: Iterable[Diagnostic], color: bool = False) -> str:
    """All diagnostics, a blank line between them, without a line end behind the last."""
    paint = _in_color if color else _plain
    return "\n\n".join("\n".join(_lines(diagnostic, paint)) for diagnostic in diagnostics)


def _in_color(role: str, text: str) -> str:
    return f"{_COLORS[role]}{text}\033[0m" if text else text


def _plain(role: str, text: str) -> str:
    return text


def _lines(diagnostic: Diagnostic, paint: Paint) -> list[str]:
    severity = diagnostic.severity
    header = paint(severity, f"{severity}[{diagnostic.code}]")
    lines = [header + paint("message", f": {printable(diagnostic.message)}")]
    margin = _margin(diagnostic)
    for source, marks in _by_source(diagnostic):
        arrow = "-->" if diagnostic.label in [mark.label for mark in marks] else ":::"
        line, column = source.position(_main(marks).span.start)
        place = f"{printable(source.name)}:{line}:{column}"
        lines.append(" " * margin + paint("frame", arrow) + " " + place)
        lines += excerpt(source, marks, margin, paint)
    lines += _endings(diagnostic, margin, paint)
    return lines


def _by_source(diagnostic: Diagnostic) -> list[tuple[Source, list[Mark]]]:
    """The places by file, that of the main one first."""
    main = [Mark(diagnostic.label, diagnostic.severity, "^")] if diagnostic.label else []
    files: dict[tuple[str, int], tuple[Source, list[Mark]]] = {}
    for mark in [*main, *(Mark(label, "other", "-") for label in diagnostic.others)]:
        source = mark.label.span.source
        files.setdefault((source.name, id(source)), (source, []))[1].append(mark)
    return list(files.values())


def _main(marks: Sequence[Mark]) -> Label:
    return marks[0].label


def _margin(diagnostic: Diagnostic) -> int:
    """Room for the largest line number."""
    labels = [diagnostic.label] if diagnostic.label else []
    return max((len(str(label.span.line)) for label in [*labels, *diagnostic.others]), default=1)


def _endings(diagnostic: Diagnostic, margin: int, paint: Paint) -> list[str]:
    lines = [("note", note) for note in diagnostic.notes]
    if diagnostic.help:
        lines.append(("help", diagnostic.help))
    shown = []
    for kind, text in lines:
        first, *others = [printable(line) for line in text.split("\n")]
        shown.append(f"{' ' * margin} {paint('frame', '=')} {paint('help', kind)}: {first}")
        shown += [f"{' ' * margin}   {' ' * len(kind)}  {line}" for line in others]
    more = f"flowc explain {diagnostic.code}"
    if diagnostic.fix:
        more += "; flowc check --fix repairs it"
    return [*shown, f"{' ' * margin}   ({more})"]
