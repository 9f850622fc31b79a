"""Statements, and the bodies that hold them."""

from __future__ import annotations

from flowc.syntax import tree
from flowc.syntax.build.nodes import Body, Parts, named, present, quoted, span_of


class Statements:
    def body(self, parts: Parts) -> Body:
        return Body(present(parts[:-1]), parts[-1].span)

    def spoiled(self, parts: Parts) -> None:
        return None

    def input(self, parts: Parts) -> tree.Input:
        return tree.Input(span_of(parts), named(parts[1]), parts[2])

    def param(self, parts: Parts) -> tree.Param:
        _, name, type, initial = parts
        return tree.Param(span_of(parts), named(name), type, initial)

    def state(self, parts: Parts) -> tree.State:
        _, name, type, initial = parts
        return tree.State(span_of(parts), named(name), type, initial)

    def next(self, parts: Parts) -> tree.Next:
        return tree.Next(span_of(parts), named(parts[1]), parts[2])

    def layer(self, parts: Parts) -> tree.Layer:
        return tree.Layer(span_of(parts), named(parts[1]), parts[2])

    def output(self, parts: Parts) -> tree.Output:
        name = named(parts[1])
        return tree.Output(span_of(parts), name, parts[2] or name)

    def loss(self, parts: Parts) -> tree.Loss:
        return tree.Loss(span_of(parts), parts[1])

    def metric(self, parts: Parts) -> tree.Metric:
        return tree.Metric(span_of(parts), named(parts[1]), parts[2])

    def assertion(self, parts: Parts) -> tree.Assert:
        _, condition, message = parts
        text = message and tree.String(message.span, quoted(message))
        return tree.Assert(span_of(parts), condition, text)

    def returns(self, parts: Parts) -> tree.Return:
        return tree.Return(span_of(parts), parts[1])

    def yields(self, parts: Parts) -> tree.Yield:
        return tree.Yield(span_of(parts), parts[1])

    def bind(self, parts: Parts) -> tree.Bind:
        targets, value = parts
        return tree.Bind(targets[0].span.to(value.span), targets, value)

    def targets(self, parts: Parts) -> tuple[tree.Name, ...]:
        return tuple(named(part) for part in parts)

    def values(self, parts: Parts) -> tree.TupleExpr:
        return tree.TupleExpr(span_of(parts), tuple(parts))

    def local_function(self, parts: Parts) -> tree.LocalFunction:
        name, *parameters, value = parts
        names = tuple(named(p) for p in parameters if p)
        return tree.LocalFunction(span_of(parts), named(name), names, value)

    def repeat(self, parts: Parts) -> tree.Repeat:
        _, count, index, body = parts
        return tree.Repeat(span_of(parts), count, index and named(index), body.statements)

    def if_(self, parts: Parts) -> tree.If:
        _, condition, then, _, orelse = parts
        otherwise = (orelse,) if isinstance(orelse, tree.If) else orelse and orelse.statements
        return tree.If(span_of(parts), condition, then.statements, otherwise or ())
