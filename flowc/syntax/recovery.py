"""Feeds tokens to the parse tables, and goes on at the next statement after a mistake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flowc.diagnostic import Diagnostic
from flowc.syntax.automaton import Automaton
from flowc.syntax.expected import unexpected
from flowc.syntax.grammar import tables
from flowc.syntax.messages import Mistake
from flowc.syntax.tokens import Report, Token


@dataclass(slots=True)
class _Statement:
    """The statement at hand: its first token, and how high the automaton stood before it."""

    start: int
    height: int
    spoiled: bool = False


class Parsing:
    """One run over the tokens of a text."""

    def __init__(self, tokens: Sequence[Token], report: Report) -> None:
        self.tokens = tokens
        self.report = report
        self.automaton = Automaton(tables())
        self.statements: list[_Statement | None] = [None]  # None: before the first token of one
        self.lost: set[str] = set()  # names in statements that were dropped

    def items(self) -> Any:
        """What the grammar makes of the whole text."""
        index = 0
        while index < len(self.tokens):
            complaint = self._feed(index)
            if complaint is None:
                self._follow(index)
                index += 1
            else:
                index = self._recover(index, complaint)
        return self.automaton.finish()

    def _feed(self, index: int) -> Diagnostic | None:
        try:
            if self.automaton.feed(self.tokens[index]):
                return None
        except Mistake as mistake:
            return mistake.diagnostic
        statement = self.statements[-1]
        start = index if statement is None else statement.start
        return unexpected(self.tokens, start, index, self.automaton.accepted())

    def _follow(self, index: int) -> None:
        """Keep track of the statements, after a token was taken."""
        kind = self.tokens[index].type
        if kind == "RBRACE":
            self.statements.pop()
            return
        if self.statements[-1] is None and kind != "_END":
            self.statements[-1] = _Statement(index, self.automaton.height - 1)
        if kind == "_END":
            self.statements[-1] = None
        elif kind == "LBRACE":
            self.statements.append(None)

    def _recover(self, index: int, complaint: Diagnostic) -> int:
        """Drop the statement; the token to go on with. A body behind the mistake is still read."""
        statement = self.statements[-1]
        start = index if statement is None else statement.start
        end = self._end_of_statement(index)
        known = statement is not None and statement.spoiled
        dropped = self.tokens[start : end + 1]
        self.lost.update(token.text for token in dropped if token.text.isidentifier())
        if not known and not any(token.made for token in dropped):
            self.report(complaint)
        if statement is not None:
            self.automaton.wind_back(statement.height)
        body = self._body_between(index, end)
        if body is not None and self._feed_spoiled(body):
            return body
        self.statements[-1] = None
        return end + 1

    def _end_of_statement(self, index: int) -> int:
        depth = 0
        for at in range(index, len(self.tokens)):
            kind = self.tokens[at].type
            depth += (kind == "LBRACE") - (kind == "RBRACE")
            if depth == 0 and kind == "_END":
                return at
        return len(self.tokens) - 1

    def _body_between(self, index: int, end: int) -> int | None:
        braces = (at for at in range(index, end) if self.tokens[at].type == "LBRACE")
        return next(braces, None)

    def _feed_spoiled(self, body: int) -> bool:
        """Stand a mark in for the head of the statement, if a body may follow here at all."""
        if not self.automaton.feed(Token("SPOILED", "", self.tokens[body].span)):
            return False
        self.statements[-1] = _Statement(body, self.automaton.height - 1, spoiled=True)
        return True
