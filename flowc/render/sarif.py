"""Diagnostics as a SARIF 2.1.0 log, which code hosts and editors read."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from flowc import __version__
from flowc.diagnostic import Diagnostic, Fix, Label
from flowc.render.place import region
from flowc.source import Span

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

Json = dict[str, Any]


def render_sarif(diagnostics: Iterable[Diagnostic]) -> Json:
    """A log with one run; its rules are the codes that occur."""
    found = list(diagnostics)
    rules = sorted({diagnostic.code for diagnostic in found})
    driver = {
        "name": "flowc",
        "semanticVersion": __version__,
        "rules": [_rule(code) for code in rules],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(diagnostic, rules.index(diagnostic.code)) for diagnostic in found],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _rule(code: str) -> Json:
    return {"id": code, "help": {"text": f"flowc explain {code}"}}


def _result(diagnostic: Diagnostic, rule: int) -> Json:
    result: Json = {
        "ruleId": diagnostic.code,
        "ruleIndex": rule,
        "level": diagnostic.severity,
        "message": {"text": _message(diagnostic)},
    }
    if diagnostic.label:
        result["locations"] = [_location(diagnostic.label)]
    if diagnostic.others:
        places = enumerate(diagnostic.others, 1)
        result["relatedLocations"] = [{"id": n, **_location(label)} for n, label in places]
    if diagnostic.fix:
        result["fixes"] = [_fix(diagnostic.fix)]
    return result


def _message(diagnostic: Diagnostic) -> str:
    helps = [f"help: {diagnostic.help}"] if diagnostic.help else []
    return "\n".join([diagnostic.message, *diagnostic.notes, *helps])


def _location(label: Label) -> Json:
    physical = {"artifactLocation": _artifact(label.span), "region": _region(label.span)}
    location: Json = {"physicalLocation": physical}
    if label.text:
        location["message"] = {"text": label.text}
    return location


def _fix(fix: Fix) -> Json:
    change = {"deletedRegion": _region(fix.span), "insertedContent": {"text": fix.text}}
    changes = [{"artifactLocation": _artifact(fix.span), "replacements": [change]}]
    return {"description": {"text": f"write `{fix.text.strip()}`"}, "artifactChanges": changes}


def _artifact(span: Span) -> Json:
    path = PurePath(span.source.name)
    return {"uri": path.as_uri() if path.is_absolute() else quote(path.as_posix())}


def _region(span: Span) -> Json:
    line, column, end_line, end_column = region(span)
    return {
        "startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column,
    }
