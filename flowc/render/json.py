"""Diagnostics as the JSON object that `flowc check --format json` prints."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowc.diagnostic import Diagnostic, Fix, Label
from flowc.render.place import region
from flowc.source import Span

SCHEMA = "flowc.check/1"


def json_report(diagnostics: Iterable[Diagnostic]) -> dict[str, Any]:
    """Keys are only ever added within a version of the schema."""
    return {"schema": SCHEMA, "diagnostics": [_diagnostic(d) for d in diagnostics]}


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    label = diagnostic.label
    return {
        "code": diagnostic.code,
        "severity": diagnostic.severity,
        "message": diagnostic.message,
        **(_place(label.span) if label else {}),
        "labels": [*([_label(label, "main")] if label else []),
                   *(_label(other, "other") for other in diagnostic.others)],
        "notes": list(diagnostic.notes),
        "help": diagnostic.help,
        "fix": _fix(diagnostic.fix) if diagnostic.fix else None,
    }


def _label(label: Label, role: str) -> dict[str, Any]:
    return {"role": role, "text": label.text, **_place(label.span)}


def _fix(fix: Fix) -> dict[str, Any]:
    return {"text": fix.text, **_place(fix.span)}


def _place(span: Span) -> dict[str, Any]:
    return {"file": span.source.name, **region(span)._asdict()}
