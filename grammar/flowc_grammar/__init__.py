"""The grammar of `.flow` texts, for the compiler and for editors."""

from pathlib import Path

FOLDER = Path(__file__).parent
TABLES = FOLDER / "tables.json"  # made from the grammar


def grammar() -> str:
    """The text of `flow.lark`."""
    return (FOLDER / "flow.lark").read_text("utf-8")
