"""The items of a file."""

from __future__ import annotations

from flowc.source import Span
from flowc.syntax import messages, tree
from flowc.syntax.build.nodes import Parts, named, present, quoted, span_of, whole_number
from flowc.syntax.messages import Mistake

COMPILE_TIME_TYPES = frozenset({"int", "float", "bool", "str", "schedule", "function"})


class Items:
    def start(self, parts: Parts) -> tuple[tree.Item, ...]:
        return present(parts)

    def version(self, parts: Parts) -> tree.Version:
        word, number = parts
        return tree.Version(word.span.to(number.span), whole_number(number))

    def hyper(self, parts: Parts) -> tree.Hyper:
        word, name, type, default, choices = parts
        end = choices or default
        return tree.Hyper(word.span.to(end.span), named(name), named(type), default, choices)

    def imports(self, parts: Parts) -> tree.Import:
        word, (origin, module, library), *names, end = parts
        span = word.span.to(end.span if end else origin)
        if end is None:
            raise Mistake(messages.missing_names(span))
        return tree.Import(span, origin, module, library, tuple(names))

    def file_module(self, parts: Parts) -> tuple[Span, str, bool]:
        return parts[0].span, quoted(parts[0]), False

    def library_module(self, parts: Parts) -> tuple[Span, str, bool]:
        return parts[0].span.to(parts[-1].span), ".".join(p.text for p in parts), True

    def imported(self, parts: Parts) -> tree.ImportedName:
        name, alias = parts
        return tree.ImportedName(span_of(parts), named(name), alias and named(alias))

    def block(self, parts: Parts) -> tree.Block:
        word, name, parameters, results, body = parts
        span = word.span.to(body.span)
        return tree.Block(span, named(name), parameters, results or (), body.statements)

    def optimizer(self, parts: Parts) -> tree.Optimizer:
        word, name, parameters, body = parts
        span = word.span.to(body.span)
        return tree.Optimizer(span, named(name), parameters, body.statements)

    def schedule(self, parts: Parts) -> tree.Schedule:
        word, name, parameters, body = parts
        return tree.Schedule(word.span.to(body.span), named(name), parameters, body.statements)

    def model(self, parts: Parts) -> tree.Model:
        word, name, body = parts
        return tree.Model(word.span.to(body.span), named(name), body.statements)

    def parameters(self, parts: Parts) -> tuple[tree.Parameter, ...]:
        return present(parts)

    def parameter(self, parts: Parts) -> tree.Parameter:
        name, type, default = parts
        if isinstance(type, tree.TensorTypeExpr) and _is_compile_time(type):
            type = type.dtype
        return tree.Parameter(span_of(parts), named(name), type, default)

    def results(self, parts: Parts) -> tuple[tree.TensorTypeExpr, ...]:
        return tuple(parts)

    def data(self, parts: Parts) -> tree.Data:
        word, name, source, (fields, end) = parts
        return tree.Data(word.span.to(end), named(name), source, fields)

    def names(self, parts: Parts) -> tuple[tuple[tree.Name, ...], Span]:
        return tuple(named(p) for p in parts if p.type == "NAME"), parts[-1].span

    def train(self, parts: Parts) -> tree.Train:
        word, *settings, end = parts
        return tree.Train(word.span.to(end.span), tuple(settings))

    def setting(self, parts: Parts) -> tree.Setting:
        key, value = parts
        return tree.Setting(span_of(parts), named(key), value)


def _is_compile_time(type: tree.TensorTypeExpr) -> bool:
    return type.span == type.dtype.span and type.dtype.text in COMPILE_TIME_TYPES
