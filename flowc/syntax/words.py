"""Which words are keywords where: most are names wherever the keyword makes no sense."""

from __future__ import annotations

from flowc.syntax.tokens import Token


def _terminals(words: str) -> dict[str, str]:
    return {word: word.upper() for word in words.split()}


RESERVED = _terminals(
    "and or not in except true false if else as scan repeat assert return yield"
)
ITEMS = _terminals("flow hyper import block optimizer schedule model data train place")
STATEMENTS = _terminals("input param state next layer output metric")
PLACING = _terminals("replicate variables shard stage pipeline sync")
INNER = _terminals("over by axis on reversed carry")
FOREIGN = {"True": "true", "False": "false", "None": ""}

_STARTERS = frozenset({"if", "repeat", "assert", "return", "yield"})

# A word before one of these cannot be a name that is bound or called.
_GOES_WITH = frozenset({"NAME", "INT", "FLOAT", "STRING", "LBRACE", "COLON", "BROKEN"})

# A word behind one of these cannot be an operand: two operands never stand side by side.
OPERAND_ENDS = frozenset(
    {"NAME", "INT", "FLOAT", "STRING", "TRUE", "FALSE", "BROKEN", "RPAR", "RSQB", "RBRACE"}
)
_BEFORE_INNER = OPERAND_ENDS | {"REPLICATE", "VARIABLES", "STAGE", "REVERSED"}
_BEFORE_INNER_OF_PLACE = _BEFORE_INNER | {"DOTDOT", "STAR", "STARSTAR"}


def opening_word(token: Token, following: Token | None, context: str) -> str:
    """The terminal of a NAME that starts a statement; `context`: file body train place."""
    text = token.text
    if text in RESERVED:
        return RESERVED[text]
    if context == "place" and text in PLACING:
        return PLACING[text]
    if text == "loss" and context in ("file", "body") and following is not None:
        return "LOSS" if following.type == "EQUAL" else "NAME"
    if not _fits(following):
        return "NAME"
    return ITEMS.get(text) or STATEMENTS.get(text, "NAME")


def inner_word(token: Token, before: Token, in_place: bool) -> str:
    """The terminal of a NAME that stands within a statement, behind `before`."""
    if token.text in RESERVED:
        return RESERVED[token.text]
    if token.text not in INNER:
        return "NAME"
    allowed = _BEFORE_INNER_OF_PLACE if in_place else _BEFORE_INNER
    return INNER[token.text] if before.type in allowed else "NAME"


def is_item(token: Token, following: Token | None) -> bool:
    """Whether an item of a file starts here, if a statement does."""
    return token.text in ITEMS and _fits(following)


def starts_statement(token: Token, following: Token | None) -> bool:
    """Whether a line that starts like this can only be a new statement."""
    if token.type != "NAME" or following is None:
        return False
    if following.type == "EQUAL" or token.text in _STARTERS:
        return True
    return (token.text in ITEMS or token.text in STATEMENTS) and _fits(following)


def _fits(following: Token | None) -> bool:
    return following is not None and following.type in _GOES_WITH and not following.first
