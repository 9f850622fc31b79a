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
    _known: set[Diagnostic] = field(default_factory=set, repr=False, compare=False)

    def report(self, diagnostic: Diagnostic) -> None:
        if diagnostic not in self._known:
            self._known.add(diagnostic)
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
    short = [k for k in known if len(k) <= LONGEST_COMPARED]
    close = get_close_matches(name, short, n=1, cutoff=0.6)
    return close[0] if close else None
