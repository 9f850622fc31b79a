"""Diagnostics as the commands by which GitHub Actions puts notes into a pull request."""

from __future__ import annotations

from collections.abc import Iterable

from flowc.diagnostic import Diagnostic
from flowc.render.place import region


def render_github(diagnostics: Iterable[Diagnostic]) -> str:
    """One line each, such as `::error file=m.flow,line=3,col=7,title=syntax::expected ...`."""
    return "\n".join(_command(diagnostic) for diagnostic in diagnostics)


def _command(diagnostic: Diagnostic) -> str:
    fields = {"title": diagnostic.code}
    if diagnostic.label:
        span = diagnostic.label.span
        line, column, end_line, end_column = map(str, region(span))
        fields |= {"file": span.source.name, "line": line, "col": column}
        fields |= {"endLine": end_line, "endColumn": end_column}
    helps = [diagnostic.help] if diagnostic.help else []
    text = "\n".join([diagnostic.message, *diagnostic.notes, *helps])
    properties = ",".join(f"{name}={_property(value)}" for name, value in fields.items())
    return f"::{diagnostic.severity} {properties}::{_data(text)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
