"""The precedence of the operators, and the folding of a flat chain by it."""

from __future__ import annotations

from collections.abc import Iterable

from flowc.source import Span
from flowc.syntax import messages
from flowc.syntax.messages import Mistake
from flowc.syntax.tokens import Token
from flowc.syntax.tree import Attribute, Binary, Call, Expr, Missing, Name, Pipe, Unary

COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})
NEGATION = "unary -"

# Loosest first. All associate to the left but `^`; comparisons do not associate.
LEVELS: tuple[frozenset[str], ...] = (
    frozenset({"|>"}),
    frozenset({"except"}),
    frozenset({"or"}),
    frozenset({"and"}),
    frozenset({"not"}),
    COMPARISONS,
    frozenset({".."}),
    frozenset({"+", "-"}),
    frozenset({"*", "/", "//", "%", "@"}),
    frozenset({NEGATION}),
    frozenset({"^"}),
)
LEVEL = {operator: level for level, operators in enumerate(LEVELS) for operator in operators}
ATOM = len(LEVELS)  # names, numbers, calls, whatever stands in brackets


def fold(parts: Iterable[Expr | Token]) -> Expr:
    """Operands and operators in the order of the text become one expression.

    Raises Mistake for `a < b < c`, and for a `|>` into something that cannot take a value.
    """
    folding = _Folding()
    for part in parts:
        if isinstance(part, Token):
            folding.operator(part)
        else:
            folding.operand(part)
    return folding.result()


class _Folding:
    """Operator precedence with two explicit stacks, so that a long chain needs no recursion."""

    def __init__(self) -> None:
        self.operands: list[Expr] = []
        self.pending: list[tuple[Token, str]] = []  # each with its key in LEVEL
        self.wants_operand = True

    def operand(self, operand: Expr) -> None:
        self.operands.append(operand)
        self.wants_operand = False

    def operator(self, token: Token) -> None:
        if self.wants_operand:
            self.pending.append((token, NEGATION if token.text == "-" else token.text))
            return
        level = LEVEL[token.text]
        while self.pending and self._binds(self.pending[-1][1], level):
            first, key = self.pending[-1]
            if key in COMPARISONS and token.text in COMPARISONS:
                middle = self.operands[-1].span
                raise Mistake(messages.chained(first.span, token.span, middle))
            self._reduce()
        self.pending.append((token, token.text))
        self.wants_operand = True

    def result(self) -> Expr:
        while self.pending:
            self._reduce()
        return self.operands[0]

    def _binds(self, waiting: str, level: int) -> bool:
        return LEVEL[waiting] > level or (LEVEL[waiting] == level and waiting != "^")

    def _reduce(self) -> None:
        token, key = self.pending.pop()
        right = self.operands.pop()
        if key in (NEGATION, "not"):
            self.operands.append(Unary(token.span.to(right.span), token.text, right))
            return
        left = self.operands.pop()
        self.operands.append(_combine(left, token, right))


def _combine(left: Expr, token: Token, right: Expr) -> Expr:
    span = Span(left.span.source, left.span.start, right.span.end)
    if token.text != "|>":
        return Binary(span, token.text, left, right)
    if not isinstance(right, (Call, Name, Attribute, Missing)):
        raise Mistake(messages.pipe_into_value(token.span, right.span))
    return Pipe(span, left, right)
