"""The update: clipping, then the optimizer's text for each parameter that learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flowc.diagnostic import Stop
from flowc.graph.graph import Graph, Update
from flowc.lower import errors
from flowc.lower.arithmetic import elementwise, to_tensor
from flowc.lower.lowerer import Lowerer, Variable
from flowc.lower.model import Lowered, initial_graph
from flowc.lower.scope import Binding, Scope
from flowc.lower.settings import TrainSettings
from flowc.lower.signature import convert
from flowc.lower.values import (
    POISON,
    Arg,
    Configured,
    OptimizerFunction,
    ScheduleFunction,
    Tensor,
    is_number,
)
from flowc.lower.variables import fit, uses_tensors
from flowc.source import Span
from flowc.syntax import tree as t
from flowc.syntax.names import names_in


def lower_update(
    lowered: Lowered, differentiated: Graph, settings: TrainSettings
) -> tuple[Graph, Graph]:
    """The graph with updates of parameters and slots instead of the gradients' outputs.

    `differentiated` has an output `gradient.PATH` for each parameter that learns. The second
    graph is that of the `init` program, in which slots have first values too.
    """
    lw = lowered.lowerer.continued(differentiated)
    span = settings.optimizer.span
    gradients = {
        o.name.removeprefix("gradient."): Arg(Tensor(lw.builder.value(o.value)), span)
        for o in differentiated.outputs if o.name.startswith("gradient.")
    }
    step = Arg(lw.emit("cast", [Arg(lw.system("step"), span)], span, dtype="f32"), span)
    arguments = _arguments(lw, settings.optimizer, step)
    if arguments is None:
        raise Stop
    clipped = clip_gradients(lw, gradients, settings, span)
    updates = list(differentiated.updates)
    for path, gradient in clipped.items():
        updates += _update(lw, settings.optimizer, path, gradient, step, arguments)
        if lw.budget.complaints:
            break  # the other parameters would say the same
    outputs = [o for o in differentiated.outputs if not o.name.startswith("gradient.")]
    return lw.builder.finish(outputs, updates), initial_graph(lw)


# --- clipping ---------------------------------------------------------------------------------


def clip_gradients(
    lw: Lowerer, gradients: dict[str, Arg], settings: TrainSettings, span: Span
) -> dict[str, Arg]:
    """Gradients with each element, then their common norm, held within the settings' limits."""
    if settings.clip_value is not None:
        limit = settings.clip_value
        for path, g in gradients.items():
            above = Arg(elementwise(lw, "maximum", [g, Arg(-limit, span)], span), span)
            gradients[path] = Arg(elementwise(lw, "minimum", [above, Arg(limit, span)], span), span)
    if settings.clip_norm is not None:
        scale = _norm_scale(lw, list(gradients.values()), settings.clip_norm, span)
        gradients = {
            path: Arg(_scaled(lw, g, scale, span), span) for path, g in gradients.items()
        }
    return gradients


def _norm_scale(lw: Lowerer, gradients: list[Arg], limit: float, span: Span) -> Arg:
    """min(1, limit / norm) over all gradients together (Pascanu et al. 2013), in f32."""
    total: Arg | None = None
    for g in gradients:
        single = Arg(_cast(lw, g, "f32", span), span)
        square = Arg(elementwise(lw, "mul", [single, single], span), span)
        axes = tuple(range(g.value.type.rank))
        part = Arg(lw.emit("reduce_sum", [square], span, axes=axes, keep=False), span)
        total = part if total is None else Arg(elementwise(lw, "add", [total, part], span), span)
    if total is None:
        return Arg(lw.constant(1.0, "f32", span), span)
    norm = Arg(lw.emit("sqrt", [total], span), span)
    safe = Arg(elementwise(lw, "maximum", [norm, Arg(1e-30, span)], span), span)
    ratio = Arg(elementwise(lw, "div", [Arg(limit, span), safe], span), span)
    return Arg(elementwise(lw, "minimum", [ratio, Arg(1.0, span)], span), span)


def _scaled(lw: Lowerer, gradient: Arg, scale: Arg, span: Span) -> Any:
    fitted = Arg(_cast(lw, scale, gradient.value.type.dtype, span), span)
    return elementwise(lw, "mul", [gradient, fitted], span)


def _cast(lw: Lowerer, arg: Arg, dtype: str, span: Span) -> Any:
    if arg.value.type.dtype == dtype:
        return arg.value
    return lw.emit("cast", [arg], span, dtype=dtype)


# --- optimizers and schedules -----------------------------------------------------------------


def _arguments(lw: Lowerer, optimizer: Configured, step: Arg) -> dict[str, Any] | None:
    """The optimizer's parameters by name; a schedule is lowered once, to a scalar of the step."""
    scope = Scope("optimizer", optimizer.function.scope)
    for parameter in optimizer.function.definition.parameters:
        name = parameter.name.text
        arg = optimizer.arguments.get(name)
        if arg is None:
            assert parameter.default is not None
            arg = lw.arg(parameter.default, scope)
        value = _setting(lw, parameter, arg, step)
        if value is POISON:
            return None
        scope.names[name] = Binding(value, parameter.name.span, "parameter")
    return {name: binding.value for name, binding in scope.names.items()}


def _setting(lw: Lowerer, parameter: t.Parameter, arg: Arg, step: Arg) -> Any:
    kind = parameter.type.text if isinstance(parameter.type, t.Name) else None
    value = arg.value
    if kind == "schedule":
        if isinstance(value, Configured) and isinstance(value.function, ScheduleFunction):
            return run_schedule(lw, value, step)
        if is_number(value):
            return float(value)
        lw.report(errors.wrong_kind(parameter, kind, arg))
        return POISON


    converted = value if kind is None else convert(value, kind)
    if converted is POISON and value is not POISON:
        lw.report(errors.wrong_kind(parameter, kind or "", arg))
    return converted


def run_schedule(lw: Lowerer, schedule: Configured, step: Arg) -> Any:
    """The learning rate at `step` as an f32 scalar (or a number, if it never changes)."""
    assert isinstance(schedule.function, ScheduleFunction)
    definition = schedule.function.definition
    scope = Scope("schedule", schedule.function.scope)
    for parameter in definition.parameters:
        arg = schedule.arguments.get(parameter.name.text)
        if arg is None:
            assert parameter.default is not None
            arg = lw.arg(parameter.default, scope)
        value = _setting(lw, parameter, arg, step)
        if value is POISON:
            return POISON
        scope.names[parameter.name.text] = Binding(value, parameter.name.span, "parameter")
    scope.names["step"] = Binding(step.value)
    with lw.frame(schedule.span, definition.name.text):
        result = lw.execute(definition.body, scope)
    rate: Any = result.value if result is not None else None
    if rate is POISON:
        return POISON
    if is_number(rate):
        return float(rate)
    if not isinstance(rate, Tensor) or rate.type.rank:
        lw.report(errors.schedule_result(schedule.span, rate))
        return POISON
    return rate


def _update(
    lw: Lowerer, optimizer: Configured, path: str, gradient: Arg, step: Arg,
    arguments: dict[str, Any],
) -> list[Update]:
    """Lowers the optimizer's body for one parameter."""
    assert isinstance(optimizer.function, OptimizerFunction)
    definition = optimizer.function.definition
    parameter = lw.variables[path]
    dtype = parameter.tensor.type.dtype
    scope = Scope("optimizer", optimizer.function.scope)
    for name, value in arguments.items():
        if isinstance(value, Tensor):
            value = _cast(lw, Arg(value, optimizer.span), dtype, optimizer.span)
        scope.names[name] = Binding(value, None, "parameter")
    scope.names["grad"] = Binding(gradient.value)
    scope.names["step"] = Binding(_cast(lw, step, dtype, optimizer.span))
    scope.names["param"] = Binding(parameter.tensor)
    run = _OptimizerRun(lw, definition, parameter, scope)
    with lw.frame(optimizer.span, definition.name.text):
        run.execute(definition.body)
    changed = {u.variable for u in run.updates}
    if parameter.tensor.value.ref.node not in changed and not lw.sink.errors:
        lw.report(errors.optimizer_sets_nothing(definition, optimizer.span))
    return run.updates


class _OptimizerRun:
    """Runs an optimizer's statements: `state` makes slots, `next` makes updates."""

    def __init__(self, lw: Lowerer, definition: t.Optimizer, parameter: Variable, scope: Scope):
        self.lw = lw
        self.definition = definition
        self.parameter = parameter
        self.scope = scope
        self.slots: dict[str, Tensor] = {}
        self.updates: list[Update] = []

    def execute(self, body: tuple[t.Statement, ...]) -> None:
        for statement in body:
            match statement:
                case t.State():
                    self._slot(statement)
                case t.Next():
                    self._next(statement)
                case t.If():
                    self._if(statement)
                case _:
                    self.lw.execute([statement], self.scope)

    def _if(self, statement: t.If) -> None:
        chosen = self.lw.evaluate(statement.condition, self.scope)
        if chosen is POISON:
            return
        if not isinstance(chosen, bool):
            where = statement.condition.span
            self.lw.report(errors.not_a_condition(where, chosen, "if"))
            return
        self.execute(statement.then if chosen else statement.orelse)

    def _slot(self, statement: t.State) -> None:
        """A slot has the type of its first value, which may use `param`."""
        lw, name = self.lw, statement.name.text
        path = f"{self.parameter.path}:{name}"
        expr = statement.initial
        if expr is None or self._uses_other_tensors(expr):
            if expr is None:
                lw.report(errors.state_without_type(statement))
            return
        with lw.initialising(path):
            scope = Scope("optimizer", self.scope)
            value = lw.initial.builder.value(lw.initials[self.parameter.path])
            scope.names["param"] = Binding(Tensor(value))
            first = to_tensor(lw, lw.arg(expr, scope), "f32").value
            if not isinstance(first, Tensor):
                return
            lw.initials[path] = first.value.ref
        lw.builder.origin = replace(self.parameter_origin(), path=path)
        tensor = Tensor(lw.builder.variable(path, "slot", first.type))
        lw.variables[path] = Variable(path, "slot", tensor, statement.span)
        self.slots[name] = tensor
        self.scope.names[name] = Binding(tensor, statement.name.span, "state")

    def _uses_other_tensors(self, expr: t.Expr) -> bool:
        plain = Scope("optimizer", self.scope)
        plain.names["param"] = Binding(None)
        return any(n.text for n in names_in(expr)) and uses_tensors(self.lw, expr, plain)

    def parameter_origin(self) -> Any:
        return self.lw.builder.nodes[self.parameter.tensor.value.ref.node].origin

    def _next(self, statement: t.Next) -> None:
        lw, name = self.lw, statement.name.text
        target = self.parameter.tensor if name == "param" else self.slots.get(name)
        value = lw.arg(statement.value, self.scope)
        if target is None:
            lw.report(errors.next_of_no_state(statement, self.scope.find(name)))
            return
        if any(u.variable == target.value.ref.node for u in self.updates):
            lw.report(errors.next_twice(statement, statement.span))
            return
        if value.value is POISON:
            return
        fitted = fit(lw, value, target.type)
        if fitted is None:
            found = Binding(target, statement.name.span)
            lw.report(errors.next_of_other_type(statement, found, value))
            return
        self.updates.append(Update(target.value.ref.node, fitted.value.ref))
