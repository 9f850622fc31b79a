"""Statements of models, blocks, loops and optimizers, in the order of the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.arithmetic import to_tensor
from flowc.lower.scope import Binding, Scope
from flowc.lower.signature import declared_type
from flowc.lower.values import (
    POISON,
    Arg,
    BlockFunction,
    LayerInstance,
    LocalFunction,
    Tensor,
)
from flowc.lower.variables import declare_variable, set_next
from flowc.syntax import tree as t
from flowc.syntax.names import names_in
from flowc_runtime.types import FLOATS

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

# Which scopes a statement may stand in, by the nearest boundary around it.
PLACES: dict[type, tuple[str, ...]] = {
    t.Input: ("model",),
    t.Output: ("model",),
    t.Loss: ("model",),
    t.Metric: ("model",),
    t.Layer: ("model", "block"),
    t.Param: ("model", "block", "scan"),
    t.State: ("model", "block", "optimizer"),
    t.Next: ("model", "block", "optimizer"),
    t.Return: ("block", "schedule"),
    t.Yield: ("scan",),
}
BOUNDARIES = ("model", "block", "optimizer", "schedule", "scan", "function")


def execute_one(lw: Lowerer, statement: t.Statement, scope: Scope) -> Arg | None:
    """Lowers a statement; what it returns (or yields), or None."""
    if not _in_place(lw, statement, scope):
        return None
    match statement:
        case t.Bind():
            _bind(lw, statement, scope)
        case t.LocalFunction():
            scope.bind(statement.name.text, LocalFunction(statement, scope), statement.name.span)
        case t.Layer():
            _layer(lw, statement, scope)
        case t.Input():
            _input(lw, statement, scope)
        case t.Param() | t.State():
            declare_variable(lw, statement, scope)
        case t.Next():
            set_next(lw, statement, scope)
        case t.Output() | t.Metric() | t.Loss():
            _result(lw, statement, scope)
        case t.Assert():
            return _assert(lw, statement, scope)
        case t.Return() | t.Yield():
            return Arg(_named_value(lw, "", statement.value, scope), statement.value.span)
        case t.Repeat():
            return _repeat(lw, statement, scope)
        case t.If():
            return _if(lw, statement, scope)
    return None


def _in_place(lw: Lowerer, statement: t.Statement, scope: Scope) -> bool:
    places = PLACES.get(type(statement))
    around = scope.enclosing(*BOUNDARIES)
    if places is None or around is None or around.kind in places:
        return True
    lw.report(errors.misplaced(statement, around.kind, places))
    return False


# --- bindings ---------------------------------------------------------------------------------


def _named_value(lw: Lowerer, target: str, expr: t.Expr, scope: Scope) -> Any:
    """Evaluates the right side of a statement; its parameters are named after `target`."""
    outer = lw.statement.target, lw.statement.direct
    lw.statement.target = target
    lw.statement.direct = expr.right if isinstance(expr, t.Pipe) else expr
    try:
        return lw.evaluate(expr, scope)
    finally:
        lw.statement.target, lw.statement.direct = outer


def _bind(lw: Lowerer, statement: t.Bind, scope: Scope) -> None:
    targets = statement.targets
    target = targets[0].text if len(targets) == 1 else ""
    value = _named_value(lw, target, statement.value, scope)
    if len(targets) == 1:
        _bind_name(lw, targets[0], value, scope)
        return
    values = value if isinstance(value, (tuple, list)) else None
    if value is POISON:
        values = (POISON,) * len(targets)
    if values is None or len(values) != len(targets):
        lw.report(errors.wrong_unpacking(statement, value))
        values = (POISON,) * len(targets)
    for name, item in zip(targets, values, strict=True):
        _bind_name(lw, name, item, scope)


def _bind_name(lw: Lowerer, name: t.Name, value: Any, scope: Scope) -> None:
    lw.bound[name.span] = name.text
    scope.bind(name.text, value, name.span)


def _layer(lw: Lowerer, statement: t.Layer, scope: Scope) -> None:
    expr = statement.value
    function_expr = expr.function if isinstance(expr, t.Call) else expr
    function = lw.evaluate(function_expr, scope)
    if not isinstance(function, BlockFunction):
        if function is not POISON:
            lw.report(errors.layer_of_no_block(statement, function))
        scope.bind(statement.name.text, POISON, statement.name.span, "layer")
        return
    positional: list[Arg] = []
    named: dict[str, Arg] = {}
    for argument in expr.arguments if isinstance(expr, t.Call) else ():
        arg = lw.arg(argument.value, scope)
        if argument.name is None:
            positional.append(arg)
        else:
            named[argument.name.text] = Arg(arg.value, argument.span)
    path = ".".join([*lw.path, *lw.unique(statement.name.text)])
    layer = LayerInstance(function, tuple(positional), named, path, statement.span)
    lw.bound[statement.name.span] = statement.name.text
    scope.bind(statement.name.text, layer, statement.name.span, "layer")


def _input(lw: Lowerer, statement: t.Input, scope: Scope) -> None:
    name = statement.name.text
    type_ = declared_type(lw, statement.type, scope)
    if name in lw.inputs:
        lw.report(errors.input_twice(statement, lw.inputs[name].span))
        return
    if name in ("seed", "step"):
        lw.report(errors.reserved_name(statement.name))
        type_ = None
    value: Any = POISON
    if type_ is not None:
        lw.builder.origin = lw.origin(statement.span)
        value = Tensor(lw.builder.input(name, type_), lw.level)
    lw.inputs[name] = Arg(value, statement.span)
    scope.bind(name, value, statement.name.span, "input")


def _result(lw: Lowerer, statement: t.Output | t.Metric | t.Loss, scope: Scope) -> None:
    match statement:
        case t.Loss():
            key, target = "loss", "loss"
        case t.Metric():
            key, target = f"metric.{statement.name.text}", statement.name.text
        case t.Output():
            key, target = f"output.{statement.name.text}", statement.name.text
    value = _named_value(lw, target, statement.value, scope)
    if key in lw.results:
        lw.report(errors.result_twice(statement, key, lw.results[key].span))
        return
    arg = Arg(value, statement.value.span)
    if value is not POISON:
        arg = to_tensor(lw, arg, "f32")
    if isinstance(statement, (t.Loss, t.Metric)) and isinstance(arg.value, Tensor):
        if arg.value.type.rank:
            lw.report(errors.not_scalar(statement, arg))
            arg = Arg(POISON, arg.span)
        elif isinstance(statement, t.Loss) and arg.value.type.dtype not in FLOATS:
            lw.report(errors.loss_dtype(arg))
            arg = Arg(POISON, arg.span)
    lw.results[key] = arg
    if isinstance(statement, (t.Output, t.Metric)):
        scope.bind(statement.name.text, arg.value, statement.name.span)


# --- control ----------------------------------------------------------------------------------


def _assert(lw: Lowerer, statement: t.Assert, scope: Scope) -> Arg | None:
    value = lw.evaluate(statement.condition, scope)
    if value is POISON:
        return None
    if not isinstance(value, bool):
        lw.report(errors.not_a_condition(statement.condition.span, value, "assert"))
    elif not value:
        lw.report(errors.assertion_failed(statement, scope, lw))
        if lw.frames:  # the block was not made for this
            return Arg(POISON, statement.span)
    return None


def _repeat(lw: Lowerer, statement: t.Repeat, scope: Scope) -> Arg | None:
    count = lw.evaluate(statement.count, scope)
    if count is not POISON and (
        not isinstance(count, int) or isinstance(count, bool) or count < 0
    ):
        lw.report(errors.bad_count(statement.count.span, count))
        count = POISON
    if count is POISON:
        _give_up(lw, statement.body, scope)
        return None
    label = lw.unique(statement.index.text if statement.index else "repeat")
    complaints, costs = lw.budget.complaints, []
    for i in range(count):
        before = lw.budget.work
        inner = Scope("repeat", scope)
        if statement.index:
            inner.names[statement.index.text] = Binding(i, None, "index")
        lw.spend(1, statement.span)
        with lw.inside(*label, str(i)):
            returned = lw.execute(statement.body, inner)
        if returned is not None and returned.value is not POISON:
            lw.report(errors.return_in_repeat(returned.span, statement.span))
        if lw.budget.complaints > complaints:
            break  # the other rounds would say the same
        costs.append(lw.budget.work - before)
        if i == 1:
            lw.foresee((count - 2) * min(costs), statement.count.span)
    return None


def _if(lw: Lowerer, statement: t.If, scope: Scope) -> Arg | None:
    value = lw.evaluate(statement.condition, scope)
    if value is not POISON and not isinstance(value, bool):
        lw.report(errors.not_a_condition(statement.condition.span, value, "if"))
        value = POISON
    if value is POISON:
        return _give_up(lw, (*statement.then, *statement.orelse), scope)
    chosen, other = (statement.then, statement.orelse) if value else (
        statement.orelse, statement.then)
    _mark_used(lw, other, scope)
    return lw.execute(chosen, scope)


def _mark_used(lw: Lowerer, body: Sequence[t.Statement], scope: Scope) -> None:
    """What a body that is not lowered mentions counts as used."""
    for name in names_in(*body):
        lw.spend(1, name.span)
        found = scope.find(name.text)
        if found is not None and found.span is not None:
            lw.used.add(found.span)


def _give_up(lw: Lowerer, body: Sequence[t.Statement], scope: Scope) -> Arg | None:
    """Nobody knows what these statements would bind, so that nothing is said about it either."""
    _mark_used(lw, body, scope)
    returned = None
    for statement in body:
        match statement:
            case t.Bind(targets=names):
                for name in names:
                    scope.bind(name.text, POISON)
            case t.Param() | t.State() | t.Layer() | t.LocalFunction() | t.Metric() | t.Output():
                scope.bind(statement.name.text, POISON)
            case t.Repeat(body=inner):
                returned = _give_up(lw, inner, scope) or returned
            case t.If(then=then, orelse=orelse):
                returned = _give_up(lw, (*then, *orelse), scope) or returned
            case t.Return() | t.Yield():
                returned = Arg(POISON, statement.span)
    return returned
