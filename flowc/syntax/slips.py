"""Marks of other languages: what is said of them, and what is read in their place."""

from __future__ import annotations

from flowc.diagnostic import Diagnostic
from flowc.syntax import messages
from flowc.syntax.tokens import Report, Token

MISTAKES = frozenset({"SLIP", "BAD_STRING", "BAD_NUMBER", "BAD_NAME", "BAD_CHARACTER"})

# How the mark is written here, and as which terminal it is read.
INSTEAD = {
    ":=": ("=", "EQUAL"),
    "&&": ("and", "AND"),
    "||": ("or", "OR"),
    "!": ("not ", "NOT"),
}
BLANKS = frozenset("\u00a0\u2007\u202f\u3000\u200b\ufeff\u2003\u2002\u2009\v")
HELP = {
    "\\": "a line goes on by itself inside brackets, and where the next one starts with an "
    "operator or `|>`",
    "?": "`if` chooses while compiling, `where(condition, a, b)` chooses per element",
    "&": "`and` joins conditions",
    "|": "`or` joins conditions, `|>` passes a value on",
    "“": 'texts stand in plain double quotes: `"..."`',
    "”": 'texts stand in plain double quotes: `"..."`',
    "−": "the minus sign is `-`",
    "×": "multiplication is written `*`",
    "·": "multiplication is written `*`",
    "→": "the arrow is written `->`",
}


def mend(token: Token, report: Report) -> list[Token]:
    """Report a token that is none, and give the tokens to read instead: one or none."""
    report(_complaint(token))
    if token.text == ";" or token.text[0] in BLANKS:
        return []
    text, kind = INSTEAD.get(token.text, (token.text, _READ_AS.get(token.type, "BAD")))
    return [Token(kind, text.strip(), token.span, token.first, made=True)]


# A BAD token suits no rule: it spoils its statement, silently.
_READ_AS = {"BAD_STRING": "BROKEN", "BAD_NUMBER": "BROKEN", "BAD_NAME": "NAME"}


def _complaint(token: Token) -> Diagnostic:
    at, text = token.span, token.text
    if text in INSTEAD:
        return messages.written_otherwise(at, INSTEAD[text][0])
    if text == ";":
        return messages.semicolon(at)
    match token.type:
        case "SLIP":
            return messages.no_operator(at)
        case "BAD_STRING" if text[0] == "'":
            return messages.single_quotes(at)
        case "BAD_STRING":
            return messages.unended_string(at)
        case "BAD_NUMBER":
            return messages.bad_number(at)
        case "BAD_NAME":
            return messages.bad_name(at)
    if text[0] in BLANKS:
        return messages.odd_blank(at)
    return messages.bad_character(at, HELP.get(text[0]))
