"""Expressions: numbers are computed at once, tensors become nodes."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.arithmetic import binary_tensors, broadcast_warning
from flowc.lower.indexing import index_value
from flowc.lower.limits import MAX_ITEMS, small_list, small_number
from flowc.lower.scope import Scope
from flowc.lower.values import (
    POISON,
    Arg,
    BlockFunction,
    Builtin,
    LayerInstance,
    Tensor,
    is_dim,
    is_number,
)
from flowc.source import Span
from flowc.syntax import tree as t
from flowc_runtime.dims import Dim, NotExact, Poly, divide

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

MAX_EXPONENT = 64  # of compile-time powers, so that a short text cannot ask for a huge number


def evaluate(lw: Lowerer, expr: t.Expr, scope: Scope) -> Any:
    match expr:
        case t.Number() | t.String() | t.Bool():
            return expr.value
        case t.Name():
            return look_up(lw, expr, scope)
        case t.TupleExpr():
            return _items(lw, expr, scope, tuple)
        case t.ListExpr():
            return _items(lw, expr, scope, list)
        case t.Unary():
            return _unary(lw, expr, lw.arg(expr.operand, scope))
        case t.Binary():
            return _binary_chain(lw, expr, scope)
        case t.Pipe():
            return _pipe(lw, expr, scope)
        case t.Call():
            return _call(lw, expr, scope, ())
        case t.Attribute():
            return _attribute(lw, expr, scope)
        case t.Index():
            return index_value(lw, expr, scope)
        case t.Scan():
            return lw.scan(expr, scope)
    return POISON


def _items(lw: Lowerer, expr: t.TupleExpr | t.ListExpr, scope: Scope, kind: type) -> Any:
    items = kind([lw.evaluate(item, scope) for item in expr.items])
    if small_list(items):
        return items
    lw.report(errors.list_too_long(expr.span, MAX_ITEMS))
    return POISON


def look_up(lw: Lowerer, name: t.Name, scope: Scope) -> Any:
    found = scope.find(name.text)
    if found is None and name.text == "training":
        return lw.training
    if found is None and name.text in lw.lost:
        return POISON
    if found is None:
        there = lw.binders.find(name) if lw.binders else None
        lw.report(errors.unknown_name(name, scope.visible(), there))
        return POISON
    if found.span is not None:
        lw.used.add(found.span)
    return found.value


# --- calls ------------------------------------------------------------------------------------


def _pipe(lw: Lowerer, expr: t.Pipe, scope: Scope) -> Any:
    """Pipes lean left; walked from the first stage so that long ones need no deep recursion."""
    stages: list[t.Pipe] = []
    head: t.Expr = expr
    while isinstance(head, t.Pipe):
        stages.append(head)
        head = head.left
    arg = lw.arg(head, scope)
    for stage in reversed(stages):
        if isinstance(stage.right, t.Call):
            value = _call(lw, stage.right, scope, (arg,))
        else:
            function = lw.evaluate(stage.right, scope)
            value = lw.call(function, stage.right.span, (arg,), {}, stage.right)
        arg = Arg(value, stage.left.span.to(stage.right.span))
    return arg.value


def _call(lw: Lowerer, expr: t.Call, scope: Scope, piped: tuple[Arg, ...]) -> Any:
    function = lw.evaluate(expr.function, scope)
    positional = [*piped]
    named: dict[str, Arg] = {}
    for argument in expr.arguments:
        arg = lw.arg(argument.value, scope)
        if argument.name is None:
            positional.append(arg)
        elif argument.name.text in named:
            lw.report(errors.argument_twice(argument.name, named[argument.name.text].span))
        else:
            named[argument.name.text] = Arg(arg.value, argument.span)
    return lw.call(function, expr.span, positional, named, expr)


def _attribute(lw: Lowerer, expr: t.Attribute, scope: Scope) -> Any:
    value = lw.evaluate(expr.value, scope)
    if value is POISON:
        return POISON
    if not isinstance(value, LayerInstance):
        found = scope.find(expr.name.text)
        is_function = found is not None and isinstance(found.value, (Builtin, BlockFunction))
        lw.report(errors.no_attributes(expr, value, is_function))
        return POISON
    path = f"{value.path}.{expr.name.text}"
    variable = lw.variables.get(path)
    if variable is None:
        known = [p.removeprefix(f"{value.path}.") for p in lw.variables
                 if p.startswith(f"{value.path}.")]
        lw.report(errors.no_such_parameter(expr, value, known))
        return POISON
    return variable.tensor


# --- operators --------------------------------------------------------------------------------


def _binary_chain(lw: Lowerer, expr: t.Binary, scope: Scope) -> Any:
    """`a + b + c + ...` leans left; walked from the first operand, without deep recursion."""
    spine: list[t.Binary] = []
    head: t.Expr = expr
    while isinstance(head, t.Binary):
        spine.append(head)
        head = head.left
    left = lw.arg(head, scope)
    for node in reversed(spine):
        value = binary(lw, node.op, left, lw.arg(node.right, scope), node.span)
        left = Arg(value, node.span)
    return left.value


def binary(lw: Lowerer, op: str, left: Arg, right: Arg, span: Span) -> Any:
    a, b = left.value, right.value
    if a is POISON or b is POISON:
        return POISON
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        value = binary_tensors(lw, op, left, right, span)
        if value is not POISON:
            broadcast_warning(lw, op, left, right, value, span)
        return value
    if isinstance(a, (str, bool)) or isinstance(b, (str, bool)):
        return _compare_plain(lw, op, left, right, span)
    if not (is_number(a) and is_number(b)):
        lw.report(errors.bad_operands(op, left, right, span))
        return POISON
    return _numbers(lw, op, left, right, span)


def _compare_plain(lw: Lowerer, op: str, left: Arg, right: Arg, span: Span) -> Any:
    rules: dict[str, tuple[type, Callable[[Any, Any], Any]]] = {
        "==": (object, operator.eq),
        "!=": (object, operator.ne),
        "and": (bool, lambda a, b: a and b),
        "or": (bool, lambda a, b: a or b),
    }
    kind, rule = rules.get(op, (None, operator.eq))
    if kind is None or not (isinstance(left.value, kind) and isinstance(right.value, kind)):
        lw.report(errors.bad_operands(op, left, right, span))
        return POISON
    return rule(left.value, right.value)


def _numbers(lw: Lowerer, op: str, left: Arg, right: Arg, span: Span) -> Any:
    rule = NUMBER_RULES.get(op)
    if rule is None:
        lw.report(errors.bad_operands(op, left, right, span))
        return POISON
    try:
        result = rule(left.value, right.value)
        if is_number(result) and not small_number(result):
            raise OverflowError
        return result
    except NotExact as not_exact:
        if all(isinstance(side.value, int) for side in (left, right)):
            lw.report(errors.inexact(op, left, right, span, str(not_exact)))
        else:
            lw.report(errors.not_known_to_divide(left, right, span))
    except ZeroDivisionError:
        lw.report(errors.division_by_zero(span))
    except (OverflowError, ValueError):
        lw.report(errors.out_of_range(op, span, left, right))
    except TypeError:
        lw.report(errors.not_known_yet(op, left, right, span))
    return POISON


def _equal(a: Dim | float, b: Dim | float) -> bool:
    """Two dimensions that look different may yet turn out equal: that is not known yet."""
    if a != b and (isinstance(a, Poly) or isinstance(b, Poly)):
        raise TypeError
    return a == b


def _divide(a: Dim | float, b: Dim | float) -> Dim | float:
    if isinstance(a, float) or isinstance(b, float):
        return a / b  # type: ignore[operator]
    if b == 0:
        raise ZeroDivisionError
    return divide(a, b)


def _floor_divide(a: Any, b: Any) -> Any:
    if is_dim(a) and is_dim(b) and not (isinstance(a, int) and isinstance(b, int)):
        return divide(a, b)
    return a // b


def _remainder(a: Any, b: Any) -> Any:
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a % b
    divide(a, b)
    return 0


def _power(a: Any, b: Any) -> Any:
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        if isinstance(a, int) and isinstance(b, int):
            if b > MAX_EXPONENT:
                raise OverflowError
            return a**b if b >= 0 else float(a) ** b
        result = float(a) ** float(b)
        if isinstance(result, complex):
            raise ValueError
        return result
    raise TypeError


NUMBER_RULES: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": _divide,
    "//": _floor_divide,
    "%": _remainder,
    "^": _power,
    "==": _equal,
    "!=": lambda a, b: not _equal(a, b),
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "..": lambda a, b: (a, b),
}


def _unary(lw: Lowerer, expr: t.Unary, operand: Arg) -> Any:
    value = operand.value
    if value is POISON:
        return POISON
    if expr.op == "-":
        if isinstance(value, Tensor):
            return lw.emit("neg", [operand], expr.span)
        if is_number(value):
            return -value
    elif isinstance(value, bool):
        return not value
    elif isinstance(value, Tensor):
        return lw.emit("logical_not", [operand], expr.span)
    lw.report(errors.bad_operand(expr.op, operand, expr.span))
    return POISON


