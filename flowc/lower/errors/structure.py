"""Statements: where they may stand, and what must not be missing."""

from __future__ import annotations

from collections.abc import Sequence

from flowc.diagnostic import Diagnostic, Label
from flowc.lower.errors.words import counted
from flowc.source import Span
from flowc.syntax import tree as t
from flowc_runtime.types import TensorType


def misplaced(statement: t.Statement, found: str, places: Sequence[str]) -> Diagnostic:
    if isinstance(statement, t.Next) and found == "scan":
        return next_in_scan(statement)
    word = type(statement).__name__.lower()
    return Diagnostic(
        "misplaced", f"`{word}` cannot stand in a {found}", Label(statement.span),
        help=f"it belongs in {' or '.join(map(_with_article, places))}",
    )


def _with_article(word: str) -> str:
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def return_in_repeat(span: Span, repeat: Span) -> Diagnostic:
    return Diagnostic(
        "misplaced", "a result cannot be given inside `repeat`, which goes on", Label(span),
        others=(Label(repeat, "the `repeat`"),),
        help="bind it to a name that is known outside, and give that after the `repeat`",
    )


def state_without_type(statement: t.State | t.Param) -> Diagnostic:
    return Diagnostic(
        "missing-type", f"the state `{statement.name.text}` needs a type", Label(statement.span),
        help=f"write its dtype and shape: state {statement.name.text}: f32[8] = zeros",
    )


def next_in_scan(statement: t.Next) -> Diagnostic:
    return Diagnostic(
        "misplaced", "a state cannot change inside a `scan`: it has one next value for each step",
        Label(statement.span), help="carry the value instead: carry (x = ...)",
    )


def next_twice(statement: t.Next, before: Span) -> Diagnostic:
    return Diagnostic(
        "duplicate-name", f"`{statement.name.text}` gets its next value twice",
        Label(statement.span), others=(Label(before, "first here"),),
    )


def scan_items(expr: t.Scan, count: int) -> Diagnostic:
    return Diagnostic(
        "wrong-count", f"{counted(count, 'sequence')}, but {counted(len(expr.items), 'name')} "
        "after `as`", Label(expr.items[0].span.to(expr.items[-1].span)),
        others=(Label(expr.sequences[0].span.to(expr.sequences[-1].span)),),
    )


def scan_of_nothing(expr: t.Scan) -> Diagnostic:
    return Diagnostic(
        "no-return", "this scan neither carries nor yields anything", Label(expr.span),
        help="end its body with `yield ...`",
    )


def no_model(span: Span) -> Diagnostic:
    return Diagnostic(
        "no-model", "there is no `model` in this file", Label(span),
        help="model name { input x: f32[batch, 4] ... }",
    )


def second_item(item: t.Model | t.Train | t.Place, first: Span) -> Diagnostic:
    word = type(item).__name__.lower()
    return Diagnostic(
        "duplicate-name", f"a file has one `{word}`, this is the second", Label(item.span),
        others=(Label(first, "first here"),),
    )


def no_loss(model: t.Model, where: Span) -> Diagnostic:
    return Diagnostic(
        "no-loss", f"the model `{model.name.text}` has no loss to train with", Label(where),
        others=(Label(model.name.span, "the model"),), help="add: loss = mean(...)",
    )


def no_results(model: t.Model) -> Diagnostic:
    return Diagnostic(
        "no-loss", f"the model `{model.name.text}` computes nothing: it has no loss and no output",
        Label(model.name.span), help="add: loss = mean(...), or output name = ...",
    )


def no_params(model: t.Model, where: Span) -> Diagnostic:
    return Diagnostic(
        "no-params", f"the model `{model.name.text}` has no parameter to learn", Label(where),
        others=(Label(model.name.span, "the model"),),
    )


def differs_in_evaluation(
    path: str, type: TensorType, span: Span, trained: tuple[TensorType, Span] | None
) -> Diagnostic:
    """`trained` is the type that the variable has in training, and where; None if it has none."""
    message = f"`{path}` exists only outside of training, so that nothing trains it"
    if trained is not None:
        message = f"`{path}` is {trained[0]} in training, but {type} outside of it"
    return Diagnostic(
        "differs-in-evaluation", message, Label(span),
        others=(Label(trained[1], f"{trained[0]} in training"),) if trained else (),
        help="declare parameters and states outside of `if training`",
    )


def no_derivative(op: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-derivative", f"the loss depends on parameters through `{op}`, which has no derivative",
        Label(span), help="wrap its argument in stop_gradient(...) if no gradient is meant",
    )
