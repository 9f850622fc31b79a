"""Tokens to statements: ends of lines, kinds of brackets, and words that are keywords here.

What leaves this stage has balanced brackets, and an `_END` after each statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowc.diagnostic import Label, Limit
from flowc.source import Span
from flowc.syntax import messages
from flowc.syntax.tokens import Report, Token
from flowc.syntax.words import (
    FOREIGN,
    OPERAND_ENDS,
    inner_word,
    is_item,
    opening_word,
    starts_statement,
)

MAX_NESTING = 200

_OPENERS = frozenset({"LPAR", "LSQB", "LBRACE"})
_CLOSERS = frozenset({"RPAR", "RSQB", "RBRACE"})
_OPERATORS = frozenset({"OPERATOR", "MINUS", "STAR", "STARSTAR", "DOTDOT", "AND", "OR", "EXCEPT"})
# A line that starts with one of the first, or ends with one of the last, stands not alone.
_LEADS = _OPERATORS | {"ARROW", "LBRACE"}
_LEADING_WORDS = frozenset({"and", "or", "except", "else"})
_TRAILS = _OPERATORS | {"NOT", "EQUAL", "COMMA", "ARROW", "IN"}

_INSIDE = {"TRAIN": "train", "PLACE": "place", "STAGE": "patterns"}  # else a body
_CLOSED_BY = {"(": "RPAR", "[": "RSQB", "patterns": "RSET"}  # else RBRACE
_SIGNS = {"RPAR": ")", "RSQB": "]", "RSET": "}", "RBRACE": "}"}


@dataclass(slots=True)
class _Opened:
    """An open bracket. `kind`: `(`, `[`, or what stands in braces: body train place patterns."""

    token: Token
    kind: str
    indent: int  # of its line
    spoiled: bool = False  # by a mistake that may hide the end

    @property
    def closer(self) -> str:
        return _CLOSED_BY.get(self.kind, "RBRACE")

    @property
    def joins_lines(self) -> bool:
        return self.kind in _CLOSED_BY


def arrange(tokens: Sequence[Token], report: Report) -> list[Token]:
    """The tokens as the parser wants them. Raises Limit where they nest too deep."""
    layout = _Layout(tokens, report)
    for index in range(len(tokens)):
        layout.take(index)
    layout.finish()
    return layout.out


class _Layout:
    def __init__(self, tokens: Sequence[Token], report: Report) -> None:
        self.tokens = tokens
        self.report = report
        self.out: list[Token] = []
        self.open: list[_Opened] = []
        self.indent = 0  # of the line at hand
        self.head = ""  # the terminal that the latest statement starts with
        self.doubtful: tuple[Label, ...] = ()  # a `}` that may close another brace than meant

    def take(self, index: int) -> None:
        token = self.tokens[index]
        if token.first:
            self._new_line(index)
        if token.made:
            self._spoil()
        if token.type in _OPENERS:
            self._open(token)
        elif token.type in _CLOSERS:
            self._close(token)
        else:
            self._plain(index)

    def finish(self) -> None:
        while self.open:
            self._give_up(_after(self.tokens[-1]))
        self._end_statement()

    # --- lines --------------------------------------------------------------------------------

    def _new_line(self, index: int) -> None:
        token, following = self._pair(index)
        self.indent = _column(token)
        if self._joined():
            if not self._abandoned(token, following):
                return
            while self._joined():
                self._give_up(token.span)
        elif self._goes_on(token, following):
            return
        self._end_statement()
        if is_item(token, following):
            self._leave_bodies(token)

    def _goes_on(self, token: Token, following: Token | None) -> bool:
        """Whether the line that starts here belongs to the statement before it."""
        if self._at_start():
            return False
        if token.type in _LEADS or token.text in _LEADING_WORDS:
            return True
        before = self.out[-1].type
        if before not in _TRAILS or (self._context() == "place" and before in _OPERATORS):
            return False
        return before == "COMMA" or not starts_statement(token, following)

    def _abandoned(self, token: Token, following: Token | None) -> bool:
        """Whether a bracket was left open: a statement starts, and no further in than it."""
        ended = self.out[-1].type in OPERAND_ENDS
        return ended and self.indent <= self.open[-1].indent and starts_statement(token, following)

    def _leave_bodies(self, token: Token) -> None:
        """An item starts, and items stand in no body: one of the braces is not closed."""
        while self.open and self.indent <= self.open[-1].indent:
            self._give_up(token.span)
        self._end_statement()

    def _end_statement(self) -> None:
        if not self._at_start():
            self.out.append(Token("_END", "", _after(self.out[-1])))

    # --- brackets -----------------------------------------------------------------------------

    def _open(self, token: Token) -> None:
        if len(self.open) == MAX_NESTING:
            raise Limit(messages.too_deep(token.span, MAX_NESTING))
        kind = token.text
        if kind == "{":
            kind = _INSIDE.get(self.head, "body")
            self.head = ""
        if kind == "patterns":
            token.type = "LSET"
        self.open.append(_Opened(token, kind, self.indent))
        self.out.append(token)

    def _close(self, token: Token) -> None:
        partner = self._partner(token)
        if partner is None:
            self._close_wrongly(token)
            return
        while self.open[-1] is not partner:
            self._give_up(token.span)
        if token.first and token.text == "}" and _column(token) != partner.indent:
            self.doubtful = self.doubtful or _doubt(partner, token)
        self._append_closer(token)

    def _partner(self, token: Token) -> _Opened | None:
        """The bracket that this one closes; `)` and `]` reach through no brace."""
        for opened in reversed(self.open):
            if _SIGNS[opened.closer] == token.text:
                return opened
            if token.text != "}" and opened.token.text == "{":
                return None
        return None

    def _close_wrongly(self, token: Token) -> None:
        if token.text == "}" or not self.open or self.open[-1].token.text == "{":
            self.report(messages.closes_nothing(token.span))
            return
        wanted = _SIGNS[self.open[-1].closer]
        self.report(messages.closes_another(token.span, self.open[-1].token.span, wanted))
        self._append_closer(token)

    def _give_up(self, at: Span) -> None:
        """Close the innermost bracket for the author, and say so."""
        opened = self.open[-1]
        if not opened.spoiled:
            others = self.doubtful if opened.closer == "RBRACE" else ()
            self.report(messages.unclosed(opened.token.span, at, others))
        made = Token(opened.closer, "", Span(at.source, at.start, at.start), made=True)
        self._append_closer(made)

    def _append_closer(self, token: Token) -> None:
        token.type = self.open.pop().closer
        if token.type == "RBRACE":
            self._end_statement()
        elif self.out[-1].type == "COMMA" and self.out[-2].type not in ("LPAR", "LSQB", "LSET"):
            self.out.pop()
        self.out.append(token)

    def _spoil(self) -> None:
        for opened in reversed(self.open):
            if not opened.joins_lines:
                break
            opened.spoiled = True

    # --- words --------------------------------------------------------------------------------

    def _plain(self, index: int) -> None:
        token, following = self._pair(index)
        start = self._at_start() and not self._joined()
        if token.type == "NAME" and not token.made:
            self._word(token, following, start)
        elif token.type == "STARSTAR" and not self._in_place():
            self.report(messages.written_otherwise(token.span, "^"))
            token.type, token.text, token.made = "OPERATOR", "^", True
        if start:
            self.head = token.type
        self.out.append(token)

    def _word(self, token: Token, following: Token | None, start: bool) -> None:
        if start:
            token.type = opening_word(token, following, self._context())
        else:
            token.type = inner_word(token, self.out[-1], self._in_place())
        if token.type == "NAME" and token.text in FOREIGN:
            self.report(messages.foreign_word(token.span, FOREIGN[token.text]))
            token.type, token.made = FOREIGN[token.text].upper() or "BROKEN", True

    # --- where we are -------------------------------------------------------------------------

    def _pair(self, index: int) -> tuple[Token, Token | None]:
        following = self.tokens[index + 1] if index + 1 < len(self.tokens) else None
        return self.tokens[index], following

    def _joined(self) -> bool:
        return bool(self.open) and self.open[-1].joins_lines

    def _context(self) -> str:
        return self.open[-1].kind if self.open else "file"

    def _in_place(self) -> bool:
        return bool(self.open) and self.open[0].kind == "place"

    def _at_start(self) -> bool:
        return not self.out or self.out[-1].type in ("_END", "LBRACE")


def _doubt(opened: _Opened, closing: Token) -> tuple[Label, ...]:
    return (
        Label(opened.token.span, "does this belong ..."),
        Label(closing.span, "... to this? Their lines start in different columns"),
    )


def _column(token: Token) -> int:
    start = token.span.start
    return start - token.span.source.text.rfind("\n", 0, start) - 1


def _after(token: Token) -> Span:
    return Span(token.span.source, token.span.end, token.span.end)
