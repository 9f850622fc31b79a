"""Calls: arguments meet parameters, then the function is run or inlined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flowc.lower import errors, signature
from flowc.lower.scope import Scope
from flowc.lower.values import (
    POISON,
    REQUIRED,
    Arg,
    BlockFunction,
    Builtin,
    Configured,
    Initialiser,
    LayerInstance,
    LocalFunction,
    OptimizerFunction,
    Poison,
    ScheduleFunction,
)
from flowc.source import Span
from flowc.syntax import tree as t

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer


def call(
    lw: Lowerer,
    function: Any,
    span: Span,
    positional: Sequence[Arg],
    named: Mapping[str, Arg],
    expr: t.Expr | None,
) -> Any:
    if function is POISON:
        return POISON
    match function:
        case Builtin():
            return _call_builtin(lw, function, span, positional, named)
        case BlockFunction() if waits_for_shape(function, positional, named):
            return Initialiser(function, tuple(positional), named)
        case BlockFunction():
            return _call_block(lw, function, span, positional, named, expr)
        case LayerInstance():
            return _call_layer(lw, function, span, positional, named)
        case LocalFunction():
            return _call_local(lw, function, span, positional, named)
        case OptimizerFunction() | ScheduleFunction():
            return configure(lw, function, span, positional, named)
    lw.report(errors.not_callable(span, function))
    return POISON


# --- built-in functions -----------------------------------------------------------------------


def _call_builtin(
    lw: Lowerer, function: Builtin, span: Span, positional: Sequence[Arg], named: Mapping[str, Arg]
) -> Any:
    names = [p.name for p in function.parameters]
    extra: Sequence[Arg] = ()
    if function.variadic and len(positional) > len(names):
        positional, extra = positional[: len(names)], positional[len(names) :]
    bound = match_arguments(lw, function.name, names, span, positional, named)
    if bound is None:
        return POISON
    args: list[Arg] = []
    for parameter in function.parameters:
        if parameter.name in bound:
            args.append(bound[parameter.name])
        elif parameter.default is REQUIRED:
            lw.report(errors.missing_argument(function.name, parameter.name, span, names))
            return POISON
        else:
            args.append(Arg(parameter.default, span))
    if any(is_poisoned(arg.value) for arg in (*args, *extra)):
        return POISON
    return function.run(lw, span, *args, *extra)


def is_poisoned(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(is_poisoned(item) for item in value)
    return value is POISON


def match_arguments(
    lw: Lowerer,
    function: str,
    names: Sequence[str],
    span: Span,
    positional: Sequence[Arg],
    named: Mapping[str, Arg],
) -> dict[str, Arg] | None:
    """Arguments by parameter name; None where the call was complained about."""
    if len(positional) > len(names):
        lw.report(errors.too_many_arguments(function, len(names), positional, span))
        return None
    bound = dict(zip(names, positional, strict=False))
    for name, arg in named.items():
        if name not in names:
            lw.report(errors.unknown_argument(function, name, arg.span, names))
            return None
        if name in bound:
            lw.report(errors.given_twice(function, name, arg.span, bound[name].span))
            return None
        bound[name] = arg
    return bound


def waits_for_shape(
    function: BlockFunction, positional: Sequence[Arg], named: Mapping[str, Arg]
) -> bool:
    """Whether an initialiser is called without its shape: `normal(0.02)`, not `zeros([3])`."""
    parameters = function.definition.parameters
    if not parameters or signature.kind_of(parameters[0]) != "shape":
        return False
    if parameters[0].name.text in named:
        return False
    return not (positional and isinstance(positional[0].value, (list, tuple, Poison)))


# --- blocks -----------------------------------------------------------------------------------


def _call_block(
    lw: Lowerer,
    function: BlockFunction,
    span: Span,
    positional: Sequence[Arg],
    named: Mapping[str, Arg],
    expr: t.Expr | None,
) -> Any:
    name = function.definition.name.text
    target = lw.statement.target
    if target and expr is not None and expr is lw.statement.direct:
        components = lw.unique(target)
    elif target:
        components = lw.unique(target, name)
    else:
        components = lw.unique(name)
    with lw.inside(*components):
        return run_block(lw, function, span, positional, named)


def _call_layer(
    lw: Lowerer,
    layer: LayerInstance,
    span: Span,
    positional: Sequence[Arg],
    named: Mapping[str, Arg],
) -> Any:
    clash = next((n for n in named if n in layer.named), None)
    if clash is not None:
        name = layer.block.definition.name.text
        lw.report(errors.given_twice(name, clash, named[clash].span, layer.named[clash].span))
        return POISON
    arguments = (*positional, *layer.positional)
    outer = lw.path, lw.sharing, lw.counters, lw.statement
    lw.path, lw.sharing, lw.counters = layer.path.split("."), True, {}
    try:
        with lw.inside():
            return run_block(lw, layer.block, span, arguments, {**layer.named, **named})
    finally:
        lw.path, lw.sharing, lw.counters, lw.statement = outer


def run_block(
    lw: Lowerer,
    function: BlockFunction,
    span: Span,
    positional: Sequence[Arg],
    named: Mapping[str, Arg],
) -> Any:
    """Inlines the block's body; the path of its parameters is already set."""
    definition = function.definition
    name = definition.name.text
    names = [p.name.text for p in definition.parameters]
    bound = match_arguments(lw, name, names, span, positional, named)
    if bound is None or any(is_poisoned(arg.value) for arg in bound.values()):
        return POISON
    scope = Scope("block", function.scope)
    with lw.frame(span, name, bound):
        if not signature.bind_parameters(lw, definition, bound, scope, span):
            return POISON
        result = lw.execute(definition.body, scope)
        if result is None:
            lw.report(errors.no_return(definition, span))
            return POISON
        return signature.check_results(lw, definition, result, scope)


def _call_local(
    lw: Lowerer,
    function: LocalFunction,
    span: Span,
    positional: Sequence[Arg],
    named: Mapping[str, Arg],
) -> Any:
    definition = function.definition
    name = definition.name.text
    names = [p.text for p in definition.parameters]
    bound = match_arguments(lw, name, names, span, positional, named)
    if bound is None:
        return POISON
    scope = Scope("function", function.scope)
    for parameter in definition.parameters:
        if parameter.text not in bound:
            lw.report(errors.missing_argument(name, parameter.text, span, names))
            return POISON
        scope.bind(parameter.text, bound[parameter.text].value, parameter.span, "parameter")
    with lw.frame(span, name), lw.inside(*lw.unique(name)):
        return lw.evaluate(definition.value, scope)


# --- optimizers and schedules -----------------------------------------------------------------


def configure(
    lw: Lowerer,
    function: OptimizerFunction | ScheduleFunction,
    span: Span,
    positional: Sequence[Arg],
    named: Mapping[str, Arg],
) -> Any:
    """`adam(lr = 1e-3)`: the arguments are checked now, the body is run for each parameter."""
    definition = function.definition
    names = [p.name.text for p in definition.parameters]
    bound = match_arguments(lw, definition.name.text, names, span, positional, named)
    if bound is None or any(is_poisoned(arg.value) for arg in bound.values()):
        return POISON
    for parameter in definition.parameters:
        if parameter.name.text not in bound and parameter.default is None:
            name = definition.name.text
            lw.report(errors.missing_argument(name, parameter.name.text, span, names))
            return POISON
    return Configured(function, bound, span)
