"""What is said about a token that does not fit: what was expected, and what helps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from flowc.diagnostic import Diagnostic, Label
from flowc.syntax.grammar import spellings
from flowc.syntax.hints import Situation, hint
from flowc.syntax.messages import shown
from flowc.syntax.tokens import Token

NAMES = {
    "NAME": "a name",
    "INT": "a whole number",
    "FLOAT": "a number",
    "STRING": "a text in quotes",
    "_END": "the end of the line",
    "$END": "the end of the file",
    "LSET": "`{`",
    "RSET": "`}`",
}
MOST_NAMED = 4

# Together they mean that a value may start, or that one just ended and may go on.
_STARTS_VALUE = frozenset(
    {"NAME", "INT", "FLOAT", "STRING", "TRUE", "FALSE", "BROKEN", "LPAR", "LSQB", "SCAN", "MINUS",
     "NOT"}
)  # fmt: skip
_GOES_ON = frozenset(
    {"OPERATOR", "MINUS", "STAR", "DOTDOT", "AND", "OR", "EXCEPT", "DOT", "LPAR", "LSQB"}
)
_ITEM = frozenset({"MODEL", "BLOCK", "DATA"})
_STATEMENT = frozenset({"RETURN", "NAME", "IF"})
_OPENERS = frozenset({"LPAR", "LSQB", "LBRACE", "LSET"})
_CLOSERS = frozenset({"RPAR", "RSQB", "RBRACE", "RSET"})


def unexpected(
    tokens: Sequence[Token], start: int, index: int, accepted: Collection[str]
) -> Diagnostic:
    """The complaint about a token, in a statement that begins at token `start`."""
    situation = Situation(tokens[start : index + 1], accepted)
    help, fix = hint(situation)
    wanted = _either(_wanted(set(accepted)))
    message = f"expected {wanted} here, found {_found(tokens[index])}"
    opened = _still_open(situation.tokens[:-1])
    others = (Label(opened.span, f"this {shown(opened.text)} is still open"),) if opened else ()
    return Diagnostic("syntax", message, Label(tokens[index].span), others, help=help, fix=fix)


def _wanted(accepted: set[str]) -> list[str]:
    """What may stand here, in words, the likeliest first."""
    if accepted >= _ITEM:
        return ["an item of a file, such as `model` or `data`"]
    if accepted >= _STATEMENT:
        return ["a statement"]
    if "REPLICATE" in accepted:
        return ["a line of `place`, such as `replicate over worker`"]
    wanted = []
    if accepted >= _STARTS_VALUE:
        accepted -= _STARTS_VALUE
        wanted.append("a value")
    elif "OPERATOR" in accepted:
        accepted -= _GOES_ON
    elif "STARSTAR" in accepted:
        accepted -= {"STARSTAR", "STAR", "INT", "FLOAT", "NAME"}
        wanted.append("a path")
    elif "DOTDOT" in accepted:
        accepted -= {"DOTDOT", "DOT"}
    if accepted == {"EQUAL", "COMMA", "LPAR"}:  # behind a name that starts a statement
        accepted = {"EQUAL"}
    return wanted + sorted(map(_spell, accepted), key=_likely)


def _likely(word: str) -> tuple[bool, bool, str]:
    return word != "`,`", word not in ("`)`", "`]`", "`}`"), word


def _spell(terminal: str) -> str:
    return NAMES.get(terminal) or f"`{spellings().get(terminal, terminal.lower())}`"


def _either(words: Sequence[str]) -> str:
    if len(words) > MOST_NAMED:
        return ", ".join(words[:MOST_NAMED]) + " or the like"
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else "nothing"


def _found(token: Token) -> str:
    return NAMES.get(token.type, "") if not token.text else shown(token.text)


def _still_open(tokens: Iterable[Token]) -> Token | None:
    """The innermost bracket that the tokens open and do not close."""
    opened: list[Token] = []
    for token in tokens:
        if token.type in _OPENERS:
            opened.append(token)
        elif token.type in _CLOSERS and opened:
            opened.pop()
    return opened[-1] if opened else None
