"""The page of the limits, from the constants that set them."""

from __future__ import annotations

from flowc.diagnostic import MAX_REPORTED
from flowc.graph.builder import MAX_NODES
from flowc.lower import limits as lowering
from flowc.lower.expressions import MAX_EXPONENT
from flowc.syntax.layout import MAX_NESTING
from flowc.syntax.lexer import MAX_TOKENS
from flowc.syntax.read import MAX_BYTES
from flowc.syntax.walk import MAX_DEPTH
from pages.markdown import page, table

LIMITS = (
    ("a file", f"{MAX_BYTES >> 20} MiB, {MAX_TOKENS:,} words and signs"),
    ("brackets in brackets", f"{MAX_NESTING}"),
    ("expressions in expressions", f"{MAX_DEPTH}"),
    ("expressions evaluated, each round of a `repeat` counted", f"{lowering.MAX_WORK:,}"),
    ("blocks calling blocks", f"{lowering.MAX_CALLS} deep"),
    ("nodes of a graph", f"{MAX_NODES:,}"),
    ("elements of a tensor", f"{lowering.MAX_ELEMENTS:,}"),
    ("dimensions of a tensor", f"{lowering.MAX_RANK}"),
    ("items of a list, with the lists in it", f"{lowering.MAX_ITEMS:,}"),
    ("the path of a parameter", f"{lowering.MAX_PATH:,} characters"),
    ("whole numbers while compiling", f"{lowering.MAX_INTEGER:,} either way"),
    ("powers while compiling", f"exponents up to {MAX_EXPONENT}"),
    ("messages of the parser about one file", f"{MAX_REPORTED}"),
)


def limits() -> str:
    intro = [
        "No text, however made, takes more than a moment to judge, or fills the memory. What",
        "passes a limit gets a message with a [code](errors.md), like every other mistake.",
        "",
    ]
    return page("Limits", intro, table(("what", "at most"), LIMITS))
