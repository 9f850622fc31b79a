"""Diagnostics are data: a code, a message, labelled spans, help. Rendering is elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Literal

from flowc.source import Span

Severity = Literal["error", "warning"]
MAX_REPORTED = 20  # per run; more than that nobody reads
LONGEST_COMPARED = 80  # characters of a name that is compared with others


@dataclass(frozen=True)
class Label:
    """A place, and what is to be said about it; the text may be empty for the main place."""

    span: Span
    text: str = ""


@dataclass(frozen=True)
class Fix:
    """An edit that repairs the mistake: replace the span by `text`."""

    span: Span
    text: str


@dataclass(frozen=True)
class Diagnostic:
    """One mistake of an author. `label` is where it shows, `others` where it comes from."""

    code: str
    message: str
    label: Label | None = None
    others: tuple[Label, ...] = ()
    notes: tuple[str, ...] = ()
    help: str | None = None
    fix: Fix | None = None
    severity: Severity = "error"


class Stop(Exception):
    """The sink holds errors and the next stage needs a sound input."""


class Limit(Exception):
    """A limit on size, nesting or unrolling was passed; carries the diagnostic, ends the run."""

    def __init__(self, diagnostic: Diagnostic):
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


@dataclass
class Sink:
    """Collects diagnostics; the same complaint at the same place is kept once."""

    diagnostics: list[Diagnostic] = field(default_factory=list)
    _known: set[object] = field(default_factory=set, repr=False, compare=False)

    def report(self, diagnostic: Diagnostic) -> None:
        complaint = (diagnostic.code, diagnostic.message, diagnostic.label)
        if complaint not in self._known:
            self._known.add(complaint)
            self.diagnostics.append(diagnostic)

    @property
    def errors(self) -> list[Diagnostic]:
        return [d for d in self.diagnostics if d.severity == "error"]

    def stop_on_errors(self) -> None:
        if self.errors:
            raise Stop


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one probably meant; long ones take too long to compare."""
    if len(name) > LONGEST_COMPARED:
        return None
    plain = {k: k.replace("_", "").lower() for k in known if len(k) <= LONGEST_COMPARED}
    meant = name.replace("_", "").lower()
    same = next((k for k, p in plain.items() if p == meant and k != name), None)
    close = get_close_matches(name, plain, n=3, cutoff=0.6)
    return same or next((k for k in close if _slips(name, k) <= max(1, len(name) // 3)), None)


def _slips(a: str, b: str) -> int:
    """How many letters were left out, put in, replaced or swapped with the next one."""
    before: list[int] = []
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        older, before, row = before, row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (x != y)))
            if i > 1 and j > 1 and x == b[j - 2] and a[i - 2] == y:
                row[j] = min(row[j], older[j - 2] + 1)
    return row[-1]
