"""Expressions and types."""

from __future__ import annotations

from dataclasses import replace
from math import isinf
from typing import Any

from flowc.syntax import messages, tree
from flowc.syntax.build.nodes import Parts, named, present, quoted, span_of, whole_number
from flowc.syntax.messages import Mistake
from flowc.syntax.operators import fold


class Expressions:
    def chain(self, parts: Parts) -> tree.Expr:
        return fold(_flat(parts))

    def prefixed(self, parts: Parts) -> Parts:
        return parts

    def negation(self, parts: Parts) -> tree.Expr:
        return fold(parts[0])

    def group(self, parts: Parts) -> Any:
        """An expression in parentheses: its span takes them in, unless it is a single word."""
        opening, inner, closing = parts
        if isinstance(inner, (tree.Name, tree.Number, tree.String, tree.Bool, tree.Missing)):
            return inner
        return replace(inner, span=opening.span.to(closing.span))

    def name(self, parts: Parts) -> tree.Name:
        return named(parts[0])

    def integer(self, parts: Parts) -> tree.Number:
        return tree.Number(parts[0].span, whole_number(parts[0]))

    def real(self, parts: Parts) -> tree.Number:
        value = float(parts[0].text)
        if isinf(value):
            raise Mistake(messages.number_too_big(parts[0].span))
        return tree.Number(parts[0].span, value)

    def string(self, parts: Parts) -> tree.String:
        return tree.String(parts[0].span, quoted(parts[0]))

    def true(self, parts: Parts) -> tree.Bool:
        return tree.Bool(parts[0].span, True)

    def false(self, parts: Parts) -> tree.Bool:
        return tree.Bool(parts[0].span, False)

    def missing(self, parts: Parts) -> tree.Missing:
        return tree.Missing(parts[0].span)

    def tuple_expr(self, parts: Parts) -> tree.TupleExpr:
        return tree.TupleExpr(span_of(parts), tuple(parts[1:-1]), parenthesised=True)

    def list_expr(self, parts: Parts) -> tree.ListExpr:
        return tree.ListExpr(span_of(parts), present(parts[1:-1]))

    def attribute(self, parts: Parts) -> tree.Attribute:
        value, name = parts
        return tree.Attribute(span_of(parts), value, named(name))

    def call(self, parts: Parts) -> tree.Call:
        function, *arguments, _ = parts
        return tree.Call(span_of(parts), function, present(arguments))

    def argument(self, parts: Parts) -> tree.Argument:
        if len(parts) == 1:
            return tree.Argument(parts[0].span, None, parts[0])
        return tree.Argument(span_of(parts), named(parts[0]), parts[1])

    def index(self, parts: Parts) -> tree.Index:
        value, *items, _ = parts
        return tree.Index(span_of(parts), value, tuple(items))

    def bound(self, parts: Parts) -> tree.Expr | None:
        bound: tree.Expr | None = parts[0]
        return bound

    def slice(self, parts: Parts) -> tree.Slice:
        start, _, stop, _, step = parts
        return tree.Slice(span_of(parts), start, stop, step)

    def scan(self, parts: Parts) -> tree.Scan:
        _, sequences, _, over, backwards, (items, _), _, *carries, body = parts
        many = isinstance(sequences, tree.TupleExpr)
        return tree.Scan(
            span_of(parts),
            sequences.items if many else (sequences,),
            named(over),
            backwards is not None,
            items,
            present(carries),
            body.statements,
        )

    def carry(self, parts: Parts) -> tree.Carry:
        name, initial = parts
        return tree.Carry(span_of(parts), named(name), initial)

    def bare_type(self, parts: Parts) -> tree.TensorTypeExpr:
        return tree.TensorTypeExpr(parts[0].span, named(parts[0]), ())

    def tensor_type(self, parts: Parts) -> tree.TensorTypeExpr:
        dtype, *dims, _ = parts
        return tree.TensorTypeExpr(span_of(parts), named(dtype), present(dims))

    def named_dim(self, parts: Parts) -> tree.NamedDim:
        name, size = parts
        return tree.NamedDim(span_of(parts), named(name), size)

    def ellipsis(self, parts: Parts) -> tree.Ellipsis_:
        return tree.Ellipsis_(parts[0].span)


def _flat(parts: Parts) -> Parts:
    flat: Parts = []
    for part in parts:
        flat += part if isinstance(part, list) else [part]
    return flat
