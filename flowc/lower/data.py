"""The data section: calls of sources and transforms, checked here and opened by the runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.scope import Binding, Scope
from flowc.lower.values import POISON, REQUIRED, Arg, Builtin, BuiltinParameter, DataSource
from flowc.lower.world import World
from flowc.source import Span
from flowc.syntax import tree as t
from flowc_runtime.data.arguments import BadArgument, Parameter, bind
from flowc_runtime.data.sources import SOURCES
from flowc_runtime.data.transform import TRANSFORMS

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer


@dataclass(frozen=True)
class DataDecl:
    """A `data` item: where examples come from, and which input each of their fields feeds."""

    name: str
    source: DataSource
    fields: tuple[str, ...]
    span: Span


def lower_data(world: World, inputs: Mapping[str, Span]) -> dict[str, DataDecl]:
    """Checks every `data` item against its source's signature and the model's inputs."""
    lowerer = world.lowerer(training=False)
    scope = data_scope(world, {})
    declared: dict[str, DataDecl] = {}
    for name, item in world.data.items():
        value = lowerer.evaluate(item.source, scope)
        if value is POISON:
            continue
        if not isinstance(value, DataSource):
            lowerer.report(errors.not_a_source(item.source.span, value))
            continue
        fields = tuple(f.text for f in item.fields)
        _check_fields(lowerer, item, value, inputs)
        declared[name] = DataDecl(name, value, fields, item.span)
    return declared


def data_scope(world: World, declared: Mapping[str, DataDecl]) -> Scope:
    """Sources, transforms and the data items themselves; the file's own names lie behind."""
    scope = Scope("data", world.scope)
    for name, spec in SOURCES.items():
        scope.names[name] = Binding(_source_function(name, spec.parameters, spec.doc))
    for name, transform in TRANSFORMS.items():
        scope.names[name] = Binding(_transform_function(name, transform.parameters, transform.doc))
    for name, item in world.data.items():
        value = declared[name].source if name in declared else POISON
        if declared:
            scope.names[name] = Binding(value, item.name.span)
    return scope


def _check_fields(
    lw: Lowerer, item: t.Data, source: DataSource, inputs: Mapping[str, Span]
) -> None:
    count = SOURCES[source.source].count(source.arguments)
    if count is not None and count != len(item.fields):
        lw.report(errors.wrong_field_count(item, count))
        return
    for field in item.fields:
        if field.text not in inputs and field.text not in lw.lost:
            lw.report(errors.unknown_field(field, list(inputs)))
            return
    fields = {field.text for field in item.fields}
    for name, span in inputs.items():
        if name not in fields:
            lw.report(errors.field_missing(item, name, span))


def _source_function(name: str, parameters: Sequence[Parameter], doc: str) -> Builtin:
    def run(lw: Lowerer, span: Span, *args: Arg) -> Any:
        arguments = _bound(lw, name, span, parameters, args)
        return POISON if arguments is None else DataSource(name, arguments, (), span)

    return _function(name, parameters, doc, run)


def _transform_function(name: str, parameters: Sequence[Parameter], doc: str) -> Builtin:
    def run(lw: Lowerer, span: Span, data: Arg, *args: Arg) -> Any:
        if not isinstance(data.value, DataSource):
            lw.report(errors.not_a_source(data.span, data.value))
            return POISON
        arguments = _bound(lw, name, span, parameters, args)
        if arguments is None:
            return POISON
        source = data.value
        transforms = (*source.transforms, (name, arguments))
        return DataSource(source.source, source.arguments, transforms, source.span)

    return _function(name, parameters, doc, run, BuiltinParameter("data", REQUIRED))


UNSET = object()


def _function(
    name: str, parameters: Sequence[Parameter], doc: str, run: Any, *before: BuiltinParameter
) -> Builtin:
    """A built-in with the runtime's parameters; what is not given is left to the runtime."""
    own = tuple(BuiltinParameter(p.name, UNSET, p.doc) for p in parameters)
    variadic = any(p.variadic for p in parameters)
    return Builtin(name, (*before, *own), run, doc, variadic)


def _bound(
    lw: Lowerer, name: str, span: Span, parameters: Sequence[Parameter], args: Sequence[Arg]
) -> dict[str, Any] | None:
    """The arguments as the runtime binds them; its refusal becomes a located diagnostic."""
    variadic = [p for p in parameters if p.variadic]
    given = [a for a in args if a.value is not UNSET]
    if variadic:
        positional, named = given, {}
    else:
        positional = []
        pairs = zip(parameters, args, strict=False)
        named = {p.name: a for p, a in pairs if a.value is not UNSET}
    try:
        return bind(parameters, [a.value for a in positional],
                    {n: a.value for n, a in named.items()})
    except BadArgument as bad:
        where = span
        if isinstance(bad.argument, int):
            where = positional[bad.argument].span
        elif bad.argument in named:
            where = named[bad.argument].span
        lw.report(errors.bad_source_argument(where, name, bad.message, bad.help))
        return None
