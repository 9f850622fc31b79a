"""The JSON Schema of cluster files, for editors; `hosts.schema.json` holds its text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

from flowc.cluster.sections import FILE

SCHEMA_FILE = "hosts.schema.json"


def schema() -> Mapping[str, Any]:
    """Made from the same table that the reader goes by."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "flowc cluster file",
        "description": "Hosts, links and security of a cluster on which flowc trains a model.",
        **FILE.schema,
    }


def schema_text() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def published() -> str:
    """The text of the file that comes with the package."""
    return files("flowc.cluster").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
