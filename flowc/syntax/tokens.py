"""The token: what the lexer makes, the layout arranges and the parser eats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flowc.diagnostic import Diagnostic
from flowc.source import Span

Report = Callable[[Diagnostic], None]  # of the stages of parsing; it may end the parse


@dataclass(slots=True)
class Token:
    """A terminal of the grammar and its place.

    `first`: it is the first of its line. `made`: it stands for text that was refused, and what
    follows from it is not complained about again.
    """

    type: str
    text: str
    span: Span
    first: bool = False
    made: bool = False
