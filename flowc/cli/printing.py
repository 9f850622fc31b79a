"""JSON results: one object with its versioned schema first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click


def print_json(command: str, content: Mapping[str, Any], version: int = 1) -> None:
    """Prints `{"schema": "flowc.COMMAND/VERSION", ...}`; keys are only ever added."""
    facts = {"schema": f"flowc.{command}/{version}", **content}
    click.echo(json.dumps(facts, ensure_ascii=False))
