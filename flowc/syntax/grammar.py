"""What is made from the grammar, once, when a text is first parsed: scanner and parse tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from flowc.syntax.automaton import Reduction, Tables
from flowc.syntax.build import Builder
from flowc_grammar import grammar

if TYPE_CHECKING:
    from lark import Lark

# What the grammar does not know: line ends, and what people write by mistake.
NEWLINE = ("NEWLINE", r"\n[ \t\r\f\n]*")
SLIP = ("SLIP", r":=|;|&&|\|\||=>|[-+*/]=(?!=)|!(?!=)")
REST = (
    ("BAD_STRING", r"\"[^\n]*|'(?:[^'\\\n]|\\[^\n])*+'?"),
    ("BAD_NUMBER", r"[0-9]\w*(?:\.[0-9]\w*)?"),
    ("BAD_NAME", r"[^\W\d]\w*"),
    ("BAD_CHARACTER", r"(?P<one>.)(?P=one){0,99}"),
    ("EOF", r"\Z"),
)


@cache
def _lark() -> Lark:
    from lark import Lark
    from lark.lexer import Lexer

    class NoLexer(Lexer):
        """Stands where Lark has lexers of its own: the tokens come from lexer.py."""

        def __init__(self, conf: object) -> None:
            pass

        def lex(self, *_: object) -> Iterator[Any]:
            return iter(())

    return Lark(
        grammar(), parser="lalr", lexer=NoLexer, transformer=Builder(), maybe_placeholders=True
    )


@cache
def tables() -> Tables:
    """Lark's tables, in the form that the automaton runs fast."""
    from lark.parsers.lalr_analysis import Shift

    conf = _lark().parse_interactive().parser_state.parse_conf
    numbers = {state: number for number, state in enumerate(conf.states)}

    def action(kind: object, target: Any) -> int | Reduction:
        if kind is Shift:
            return numbers[target]
        return Reduction(len(target.expansion), str(target.origin.name), conf.callbacks[target])

    states = [
        {str(symbol): action(*where) for symbol, where in row.items()}
        for row in conf.states.values()
    ]
    return Tables(states, numbers[conf.start_state], numbers[conf.end_state])


@cache
def spellings() -> dict[str, str]:
    """How each terminal with one spelling is written, by its name."""
    return {t.name: t.pattern.value for t in _lark().terminals if t.pattern.type == "str"}


@cache
def words() -> dict[str, str]:
    """The terminals of the words, by the word."""
    return {text: name for name, text in spellings().items() if text.isidentifier()}


@cache
def scanner() -> re.Pattern[str]:
    """An expression that matches at every place of every text; the group names what is there."""
    shapes = {t.name: t.pattern.value for t in _lark().terminals if t.pattern.type == "re"}
    marks = [(name, text) for name, text in spellings().items() if not text.isidentifier()]
    marks.sort(key=lambda mark: -len(mark[1]))
    groups = [
        ("NAME", shapes.pop("NAME")), NEWLINE, SLIP, *sorted(shapes.items()),
        *((name, re.escape(text)) for name, text in marks), *REST,
    ]
    named = "|".join(f"(?P<{name}>{pattern})" for name, pattern in groups)
    return re.compile(rf"[ \t\r\f]*(?:{named})")
