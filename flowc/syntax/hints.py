"""Help for the slips that people make when they come from other languages, or are in a hurry."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from flowc.diagnostic import Fix
from flowc.source import Span
from flowc.syntax.tokens import Token
from flowc.syntax.words import ITEMS, RESERVED

Hint = tuple[str | None, Fix | None]

BINDERS = frozenset({"let", "var", "const", "val", "auto", "my", "local"})
DEFINERS = frozenset({"def", "fn", "func", "function", "fun", "proc"})
LOOPS = frozenset({"for", "while", "loop", "foreach"})
CLASSES = frozenset({"class", "struct", "module", "network"})
_CONDITIONAL = frozenset({"IF", "ASSERT", "REPEAT", "RETURN", "YIELD"})
# What has a type, and how one may look.
_TYPED = {"INPUT": "f32[batch, 4]", "PARAM": "f32[4, 4] = glorot", "HYPER": "int = 8"}


@dataclass(frozen=True)
class Situation:
    """The tokens of a statement up to the one that does not fit, and what would have fitted."""

    tokens: Sequence[Token]
    accepted: Collection[str]

    @property
    def head(self) -> Token:
        return self.tokens[0]

    @property
    def found(self) -> Token:
        return self.tokens[-1]

    @property
    def before(self) -> Token | None:
        return self.tokens[-2] if len(self.tokens) > 1 else None


def hint(situation: Situation) -> Hint:
    """A line of help, and an edit that repairs the text where one is certain."""
    for judge in _JUDGES:
        answer = judge(situation)
        if answer is not None:
            return answer
    return None, None


def _foreign_word(at: Situation) -> Hint | None:
    word = at.head.text
    if at.head.type != "NAME" or len(at.tokens) > 2:
        return None
    if word in BINDERS and at.found is not at.head:
        until = Span(at.head.span.source, at.head.span.start, at.found.span.start)
        return f"a name is bound without `{word}`: `x = ...`", Fix(until, "")
    if word in DEFINERS:
        return "write `block f(x: f32[n]) -> f32[n] { ... }`, or `f(x) = ...` inside one", None
    if word in LOOPS:
        return "write `repeat n as i { ... }`, or `scan x over time as xt { ... }`", None
    if word in CLASSES:
        return "write `model name { ... }` or `block name(...) { ... }`", None
    if word in ("elif", "elsif"):
        return "write `else if`", None
    return None


def _comment(at: Situation) -> Hint | None:
    slashes = [token for token in at.tokens if token.text == "//"]
    if slashes and (slashes[-1].first or at.found.span.line == slashes[-1].span.line):
        return "comments start with `#`; `//` divides and rounds down", None
    return None


def _comparison(at: Situation) -> Hint | None:
    if at.found.type != "EQUAL":
        return None
    if at.head.type in _CONDITIONAL and at.before is at.head:
        return f"`{at.head.text}` is a word of the language and cannot be a name", None
    if at.head.type in _CONDITIONAL or any(t.type == "EQUAL" for t in at.tokens[:-1]):
        return "to compare, write `==`", Fix(at.found.span, "==")
    if at.head.type in _TYPED and len(at.tokens) == 3 and "COLON" in at.accepted:
        return f"write its type: `{at.head.text} {at.tokens[1].text}: {_TYPED[at.head.type]}`", None
    if at.before and at.before.type in ("RSQB", "NAME") and len(at.tokens) > 3:
        return "only names are bound: `x = ...`", None
    return None


def _colon(at: Situation) -> Hint | None:
    if at.found.type != "COLON":
        return None
    if "EQUAL" in at.accepted and at.before and at.before.type == "NAME" and len(at.tokens) > 3:
        return f"an argument is named with `=`: `{at.before.text} = ...`", Fix(at.found.span, " =")
    if at.head.type in ("IF", "REPEAT", "MODEL", "BLOCK", "TRAIN", "SCAN") or _is_else(at):
        return "a body stands in braces: `{ ... }`", Fix(at.found.span, " {")
    if len(at.tokens) == 2 and "COMMA" not in at.accepted:
        return f"a setting is written `{at.head.text} = ...`", Fix(at.found.span, " =")
    if len(at.tokens) == 2:
        return "only `input`, `param` and `state` say their type: `x = ...`", None
    return None


def _is_else(at: Situation) -> bool:
    return at.before is not None and at.before.type == "ELSE"


def _reserved(at: Situation) -> Hint | None:
    word = at.found.text
    if "NAME" in at.accepted and at.found.type == RESERVED.get(word):
        return f"`{word}` is a word of the language and cannot be a name", None
    return None


def _misplaced_item(at: Situation) -> Hint | None:
    if at.found is at.head and "RBRACE" in at.accepted and "RETURN" not in at.accepted:
        return f"a setting is written `{at.found.text} = ...`", None
    if at.found is at.head and at.found.type == ITEMS.get(at.found.text):
        return f"`{at.found.text}` stands outside of all braces", None
    return None


def _misplaced_statement(at: Situation) -> Hint | None:
    if at.found is at.head and "MODEL" in at.accepted:
        return "statements stand inside of a `model` or a `block`", None
    return None


def _bare_point(at: Situation) -> Hint | None:
    before, found = at.before, at.found
    if before and before.type == "DOT" and found.type == "INT":
        return f"write `0.{found.text}`", None
    if before and before.type == "DOT" and len(at.tokens) > 2 and at.tokens[-3].type == "INT":
        return f"write `{at.tokens[-3].text}.0`", None
    if found.type == "DOT" and "NAME" in at.accepted:
        return "a number has a digit before its point: `0.5`", None
    return None


def _value_without_name(at: Situation) -> Hint | None:
    if at.found.type == "_END" and at.head.type in ("NAME", "LPAR") and "EQUAL" in at.accepted:
        return "a statement gives a value a name: `y = ...`", None
    return None


def _fields_of_data(at: Situation) -> Hint | None:
    if at.head.type == "DATA" and "ARROW" in at.accepted:
        return "`-> (image, label)` names what an example consists of", None
    return None


def _type(at: Situation) -> Hint | None:
    if at.head.type not in _TYPED or len(at.tokens) < 3:
        return None
    sample = f"`{at.head.text} {at.tokens[1].text}: {_TYPED[at.head.type]}`"
    if at.found.type == "_END" and "COLON" in at.accepted:
        return f"it has a type: {sample}", None
    if at.found.type == "LSQB" and at.before and at.before.type == "COLON":
        return f"a type starts with the dtype: {sample}", None
    if at.found.type == "LPAR" and "LSQB" in at.accepted:
        return f"dimensions stand in square brackets: {sample}", None
    return None


def _order_of_scan(at: Situation) -> Hint | None:
    if any(token.type == "SCAN" for token in at.tokens) and {"OVER", "AS"} & set(at.accepted):
        return "the order is: `scan x over time as xt carry (h = ...) { ... }`", None
    return None


def _conditional_value(at: Situation) -> Hint | None:
    if at.found.type == "IF" and at.found is not at.head:
        return "`if` is a statement: `if c { y = a }`; `where(c, a, b)` is a value", None
    return None


def _two_values(at: Situation) -> Hint | None:
    if at.head.type == "NAME" and len(at.tokens) == 2 and at.found.type in ("NAME", "INT", "FLOAT"):
        return f"a name is bound with `=`: `{at.head.text} = ...`", None
    return None


_JUDGES: tuple[Callable[[Situation], Hint | None], ...] = (
    _foreign_word,
    _comment,
    _comparison,
    _colon,
    _reserved,
    _misplaced_item,
    _misplaced_statement,
    _bare_point,
    _value_without_name,
    _fields_of_data,
    _type,
    _order_of_scan,
    _conditional_value,
    _two_values,
)
