"""The nodes of the Tree, made while the parser reduces: one method for each rule of the grammar.

Each method gets the list of what its rule consists of: tokens, nodes already made, and None for
an optional part that is missing. Quoted marks of the grammar are left out.
"""

from __future__ import annotations

import re
from dataclasses import replace
from math import isinf
from typing import Any, NamedTuple

from flowc.source import Span
from flowc.syntax import messages, tree
from flowc.syntax.messages import Mistake
from flowc.syntax.operators import fold
from flowc.syntax.tokens import Token

Parts = list[Any]

COMPILE_TIME_TYPES = frozenset({"int", "float", "bool", "str", "schedule", "function"})
MAX_INTEGER = 2**63 - 1
_ESCAPE = re.compile(r"\\(.)")
_ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


class Body(NamedTuple):
    """The statements between two braces, and the place of the closing one."""

    statements: tuple[Any, ...]
    span: Span


class Builder:
    """Holds nothing: the same builder serves all parses."""

    def start(self, parts: Parts) -> tuple[tree.Item, ...]:
        return tuple(part for part in parts if part is not None)

    # --- items --------------------------------------------------------------------------------

    def version(self, parts: Parts) -> tree.Version:
        word, number = parts
        return tree.Version(word.span.to(number.span), _whole(number))

    def hyper(self, parts: Parts) -> tree.Hyper:
        word, name, type, default, choices = parts
        end = choices or default
        return tree.Hyper(word.span.to(end.span), _name(name), _name(type), default, choices)

    def imports(self, parts: Parts) -> tree.Import:
        word, (origin, module, library), *names, end = parts
        span = word.span.to(end.span if end else origin)
        if end is None:
            raise Mistake(messages.missing_names(span))
        return tree.Import(span, origin, module, library, tuple(names))

    def file_module(self, parts: Parts) -> tuple[Span, str, bool]:
        return parts[0].span, _text(parts[0]), False

    def library_module(self, parts: Parts) -> tuple[Span, str, bool]:
        return parts[0].span.to(parts[-1].span), ".".join(p.text for p in parts), True

    def imported(self, parts: Parts) -> tree.ImportedName:
        name, alias = parts
        return tree.ImportedName(_over(parts), _name(name), alias and _name(alias))

    def block(self, parts: Parts) -> tree.Block:
        word, name, parameters, results, body = parts
        span = word.span.to(body.span)
        return tree.Block(span, _name(name), parameters, results or (), body.statements)

    def optimizer(self, parts: Parts) -> tree.Optimizer:
        word, name, parameters, body = parts
        span = word.span.to(body.span)
        return tree.Optimizer(span, _name(name), parameters, body.statements)

    def schedule(self, parts: Parts) -> tree.Schedule:
        word, name, parameters, body = parts
        return tree.Schedule(word.span.to(body.span), _name(name), parameters, body.statements)

    def model(self, parts: Parts) -> tree.Model:
        word, name, body = parts
        return tree.Model(word.span.to(body.span), _name(name), body.statements)

    def parameters(self, parts: Parts) -> tuple[tree.Parameter, ...]:
        return _present(parts)

    def parameter(self, parts: Parts) -> tree.Parameter:
        name, type, default = parts
        if isinstance(type, tree.TensorTypeExpr) and _is_compile_time(type):
            type = type.dtype
        return tree.Parameter(_over(parts), _name(name), type, default)

    def results(self, parts: Parts) -> tuple[tree.TensorTypeExpr, ...]:
        return tuple(parts)

    def data(self, parts: Parts) -> tree.Data:
        word, name, source, (fields, end) = parts
        return tree.Data(word.span.to(end), _name(name), source, fields)

    def names(self, parts: Parts) -> tuple[tuple[tree.Name, ...], Span]:
        return tuple(_name(p) for p in parts if p.type == "NAME"), parts[-1].span

    def train(self, parts: Parts) -> tree.Train:
        word, *settings, end = parts
        return tree.Train(word.span.to(end.span), tuple(settings))

    def setting(self, parts: Parts) -> tree.Setting:
        key, value = parts
        return tree.Setting(_over(parts), _name(key), value)

    # --- where it runs ------------------------------------------------------------------------

    def place(self, parts: Parts) -> tree.Place:
        word, *statements, end = parts
        return tree.Place(word.span.to(end.span), tuple(statements))

    def replicate(self, parts: Parts) -> tree.Replicate:
        return tree.Replicate(_over(parts), _name(parts[2]))

    def spread(self, parts: Parts) -> tree.Spread:
        _, _, over, _, by = parts
        return tree.Spread(_over(parts), _name(over), by and _name(by))

    def shard(self, parts: Parts) -> tree.Shard:
        _, pattern, _, axis, _, over = parts
        number = tree.Number(axis.span, _whole(axis))
        return tree.Shard(_over(parts), pattern, number, _name(over))

    def stage(self, parts: Parts) -> tree.Stage:
        _, _, device, _, *patterns, _ = parts
        return tree.Stage(_over(parts), device, _present(patterns))

    def device(self, parts: Parts) -> tree.String:
        return tree.String(_over(parts), ":".join(p.text for p in parts if p))

    def pipeline(self, parts: Parts) -> tree.Pipeline:
        return tree.Pipeline(_over(parts), tuple(parts[1:]))

    def sync(self, parts: Parts) -> tree.Sync:
        return tree.Sync(_over(parts), parts[1])

    def path(self, parts: Parts) -> Token:
        return Token("PATH", ".".join(p.text for p in parts), _over(parts))

    def single_pattern(self, parts: Parts) -> tree.Pattern:
        return tree.Pattern(parts[0].span, parts[0].text, None)

    def open_pattern(self, parts: Parts) -> tree.Pattern:
        return tree.Pattern(_over(parts), parts[0].text, "")

    def range_pattern(self, parts: Parts) -> tree.Pattern:
        return tree.Pattern(_over(parts), parts[0].text, parts[2].text)

    # --- statements ---------------------------------------------------------------------------

    def body(self, parts: Parts) -> Body:
        return Body(_present(parts[:-1]), parts[-1].span)

    def spoiled(self, parts: Parts) -> None:
        return None

    def input(self, parts: Parts) -> tree.Input:
        return tree.Input(_over(parts), _name(parts[1]), parts[2])

    def param(self, parts: Parts) -> tree.Param:
        _, name, type, initial = parts
        return tree.Param(_over(parts), _name(name), type, initial)

    def state(self, parts: Parts) -> tree.State:
        _, name, type, initial = parts
        return tree.State(_over(parts), _name(name), type, initial)

    def next(self, parts: Parts) -> tree.Next:
        return tree.Next(_over(parts), _name(parts[1]), parts[2])

    def layer(self, parts: Parts) -> tree.Layer:
        return tree.Layer(_over(parts), _name(parts[1]), parts[2])

    def output(self, parts: Parts) -> tree.Output:
        name = _name(parts[1])
        return tree.Output(_over(parts), name, parts[2] or name)

    def loss(self, parts: Parts) -> tree.Loss:
        return tree.Loss(_over(parts), parts[1])

    def metric(self, parts: Parts) -> tree.Metric:
        return tree.Metric(_over(parts), _name(parts[1]), parts[2])

    def assertion(self, parts: Parts) -> tree.Assert:
        _, condition, message = parts
        return tree.Assert(_over(parts), condition, message and self.string([message]))

    def returns(self, parts: Parts) -> tree.Return:
        return tree.Return(_over(parts), parts[1])

    def yields(self, parts: Parts) -> tree.Yield:
        return tree.Yield(_over(parts), parts[1])

    def bind(self, parts: Parts) -> tree.Bind:
        targets, value = parts
        return tree.Bind(targets[0].span.to(value.span), targets, value)

    def targets(self, parts: Parts) -> tuple[tree.Name, ...]:
        return tuple(_name(part) for part in parts)

    def values(self, parts: Parts) -> tree.TupleExpr:
        return tree.TupleExpr(_over(parts), tuple(parts))

    def local_function(self, parts: Parts) -> tree.LocalFunction:
        name, *parameters, value = parts
        names = tuple(_name(p) for p in parameters if p)
        return tree.LocalFunction(_over(parts), _name(name), names, value)

    def repeat(self, parts: Parts) -> tree.Repeat:
        _, count, index, body = parts
        return tree.Repeat(_over(parts), count, index and _name(index), body.statements)

    def if_(self, parts: Parts) -> tree.If:
        _, condition, then, _, orelse = parts
        otherwise = (orelse,) if isinstance(orelse, tree.If) else orelse and orelse.statements
        return tree.If(_over(parts), condition, then.statements, otherwise or ())

    # --- expressions --------------------------------------------------------------------------

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
        return _name(parts[0])

    def integer(self, parts: Parts) -> tree.Number:
        return tree.Number(parts[0].span, _whole(parts[0]))

    def real(self, parts: Parts) -> tree.Number:
        value = float(parts[0].text)
        if isinf(value):
            raise Mistake(messages.number_too_big(parts[0].span))
        return tree.Number(parts[0].span, value)

    def string(self, parts: Parts) -> tree.String:
        return tree.String(parts[0].span, _text(parts[0]))

    def true(self, parts: Parts) -> tree.Bool:
        return tree.Bool(parts[0].span, True)

    def false(self, parts: Parts) -> tree.Bool:
        return tree.Bool(parts[0].span, False)

    def missing(self, parts: Parts) -> tree.Missing:
        return tree.Missing(parts[0].span)

    def tuple_expr(self, parts: Parts) -> tree.TupleExpr:
        return tree.TupleExpr(_over(parts), tuple(parts[1:-1]), parenthesised=True)

    def list_expr(self, parts: Parts) -> tree.ListExpr:
        return tree.ListExpr(_over(parts), _present(parts[1:-1]))

    def attribute(self, parts: Parts) -> tree.Attribute:
        value, name = parts
        return tree.Attribute(_over(parts), value, _name(name))

    def call(self, parts: Parts) -> tree.Call:
        function, *arguments, _ = parts
        return tree.Call(_over(parts), function, _present(arguments))

    def argument(self, parts: Parts) -> tree.Argument:
        if len(parts) == 1:
            return tree.Argument(parts[0].span, None, parts[0])
        return tree.Argument(_over(parts), _name(parts[0]), parts[1])

    def index(self, parts: Parts) -> tree.Index:
        value, *items, _ = parts
        return tree.Index(_over(parts), value, tuple(items))

    def bound(self, parts: Parts) -> tree.Expr | None:
        bound: tree.Expr | None = parts[0]
        return bound

    def slice(self, parts: Parts) -> tree.Slice:
        start, _, stop, _, step = parts
        return tree.Slice(_over(parts), start, stop, step)

    def scan(self, parts: Parts) -> tree.Scan:
        _, sequences, _, over, backwards, (items, _), _, *carries, body = parts
        many = isinstance(sequences, tree.TupleExpr)
        return tree.Scan(
            _over(parts),
            sequences.items if many else (sequences,),
            _name(over),
            backwards is not None,
            items,
            _present(carries),
            body.statements,
        )

    def carry(self, parts: Parts) -> tree.Carry:
        name, initial = parts
        return tree.Carry(_over(parts), _name(name), initial)

    # --- types --------------------------------------------------------------------------------

    def bare_type(self, parts: Parts) -> tree.TensorTypeExpr:
        return tree.TensorTypeExpr(parts[0].span, _name(parts[0]), ())

    def tensor_type(self, parts: Parts) -> tree.TensorTypeExpr:
        dtype, *dims, _ = parts
        return tree.TensorTypeExpr(_over(parts), _name(dtype), _present(dims))

    def named_dim(self, parts: Parts) -> tree.NamedDim:
        name, size = parts
        return tree.NamedDim(_over(parts), _name(name), size)

    def ellipsis(self, parts: Parts) -> tree.Ellipsis_:
        return tree.Ellipsis_(parts[0].span)


def _name(token: Token) -> tree.Name:
    return tree.Name(token.span, token.text)


def _over(parts: Parts) -> Span:
    """From the first part that is there to the last one."""
    present = [part for part in parts if part is not None]
    return Span(present[0].span.source, present[0].span.start, present[-1].span.end)


def _present(parts: Parts) -> tuple[Any, ...]:
    return tuple(part for part in parts if part is not None)


def _flat(parts: Parts) -> Parts:
    flat: Parts = []
    for part in parts:
        flat += part if isinstance(part, list) else [part]
    return flat


def _is_compile_time(type: tree.TensorTypeExpr) -> bool:
    return type.span == type.dtype.span and type.dtype.text in COMPILE_TIME_TYPES


def _whole(token: Token) -> int:
    if len(token.text) > 30 or int(token.text) > MAX_INTEGER:
        raise Mistake(messages.number_too_big(token.span))
    return int(token.text)


def _text(token: Token) -> str:
    """The value of a quoted text."""
    inner = token.text[1:-1]
    for escape in _ESCAPE.finditer(inner):
        if escape[1] not in _ESCAPES:
            start = token.span.start + 1 + escape.start()
            raise Mistake(messages.bad_escape(Span(token.span.source, start, start + 2)))
    return _ESCAPE.sub(lambda escape: _ESCAPES[escape[1]], inner)
