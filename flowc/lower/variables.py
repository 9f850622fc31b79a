"""`param`, `state` and `next`: the tensors that outlive a step, and their next values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.arithmetic import is_kind, to_tensor
from flowc.lower.scope import Scope
from flowc.lower.signature import declared_type
from flowc.lower.values import POISON, Arg, BlockFunction, Initialiser, Tensor, is_number
from flowc.syntax import tree as t
from flowc.syntax.names import names_in
from flowc_runtime.types import FLOATS, TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer


def declare_variable(lw: Lowerer, statement: t.Param | t.State, scope: Scope) -> None:
    """Makes a variable of the program under the statement's name, or meets a shared one again."""
    kind = "param" if isinstance(statement, t.Param) else "state"
    value: Any = POISON
    if statement.type is None:
        lw.report(errors.state_without_type(statement))
    else:
        type_ = declared_type(lw, statement.type, scope)
        if type_ is not None and kind == "param" and type_.dtype not in FLOATS:
            lw.report(errors.param_dtype(statement, type_))
            type_ = None
        if type_ is not None:
            value = _variable(lw, statement, kind, type_, scope)
    if value is not POISON:
        lw.bound[statement.name.span] = statement.name.text
    scope.bind(statement.name.text, value, statement.name.span, kind)


def _variable(
    lw: Lowerer, statement: t.Param | t.State, kind: str, type_: TensorType, scope: Scope
) -> Any:
    from flowc.lower.lowerer import Variable

    path = ".".join([*lw.path, statement.name.text])
    known = lw.variables.get(path)
    if known is not None:
        if not lw.sharing:
            lw.report(errors.variable_twice(statement, path, known.span))
            return POISON
        if known.tensor.type != type_:
            lw.report(errors.shared_with_other_type(statement, path, known, type_))
            return POISON
        return known.tensor
    root = lw.levels[0].builder
    root.origin = lw.origin(statement.span)
    tensor = Tensor(root.variable(path, kind, type_), 0)
    lw.variables[path] = Variable(path, kind, tensor, lw.authors_span(statement.span))
    if lw.training:
        set_initial(lw, path, type_, statement, scope)
    return tensor


def set_initial(
    lw: Lowerer, path: str, type_: TensorType, statement: t.Param | t.State, scope: Scope
) -> None:
    """Lowers the first value into the graph of the `init` program."""
    expr = statement.initial
    if expr is not None and uses_tensors(lw, expr, scope):
        return
    with lw.initialising(path):
        if expr is None:
            value = Arg(_default_initial(lw, type_, statement), statement.span)
        else:
            value = lw.arg(expr, scope)
        if isinstance(value.value, (BlockFunction, Initialiser)):
            value = Arg(call_initialiser(lw, value, type_), value.span)
        fitted = _as_initial(lw, value, type_)
        if fitted is not None:
            lw.initials[path] = fitted.value.ref
        elif value.value is not POISON:
            lw.report(errors.bad_initial(statement, value, type_))


def call_initialiser(lw: Lowerer, initialiser: Arg, type_: TensorType) -> Any:
    shape = Arg(list(type_.shape), initialiser.span)
    function = initialiser.value
    if isinstance(function, Initialiser):
        positional, named = (shape, *function.positional), function.named
        return lw.call(function.block, initialiser.span, positional, named)
    return lw.call(function, initialiser.span, (shape,), {})


def _default_initial(lw: Lowerer, type_: TensorType, statement: t.Param | t.State) -> Any:
    """Without `= ...` a parameter of two or more dimensions starts as `glorot`, others at zero."""
    name = "glorot" if isinstance(statement, t.Param) and type_.rank >= 2 else "zeros"
    library = lw.library.find(name)
    assert library is not None
    return library.value


def uses_tensors(lw: Lowerer, expr: t.Expr, scope: Scope) -> bool:
    """Whether a first value depends on tensors of the model, which exist only in a step."""
    for name in names_in(expr):
        found = scope.find(name.text)
        if found is not None and isinstance(found.value, Tensor):
            lw.report(errors.initial_from_tensor(name, found))
            return True
    return False


def _as_initial(lw: Lowerer, arg: Arg, type_: TensorType) -> Tensor | None:
    value = arg.value
    if isinstance(value, Tensor) and value.type.dtype != type_.dtype:
        arg = Arg(lw.emit("cast", [arg], arg.span, dtype=type_.dtype), arg.span)
    if is_number(value) and type_.kind == "bool":
        arg = Arg(bool(value), arg.span)
    return fit(lw, arg, type_)


def set_next(lw: Lowerer, statement: t.Next, scope: Scope) -> None:
    """`next s = e`: the value that the state takes when the step ends."""
    name = statement.name.text
    found = scope.find(name)
    value = lw.arg(statement.value, scope)
    if found is None or found.noun != "state" or not isinstance(found.value, Tensor):
        if name not in lw.lost if found is None else found.value is not POISON:
            lw.report(errors.next_of_no_state(statement, found))
        return
    if found.span is not None:
        lw.used.add(found.span)
    path = lw.levels[0].builder.nodes[found.value.value.ref.node].attrs["path"]
    if lw.level > 0:
        lw.report(errors.next_in_scan(statement))
        return
    if path in lw.nexts:
        lw.report(errors.next_twice(statement, lw.nexts[path].span))
        return
    fitted = fit(lw, value, found.value.type)
    if fitted is None:
        if value.value is not POISON:
            lw.report(errors.next_of_other_type(statement, found, value))
        return
    lw.nexts[path] = Arg(fitted, statement.span)


def fit(lw: Lowerer, arg: Arg, wanted: TensorType) -> Tensor | None:
    """The value as a tensor of exactly that type: numbers are cast and scalars spread."""
    if arg.value is POISON:
        return None
    if not isinstance(arg.value, Tensor) and not is_kind(arg.value, wanted.dtype):
        return None
    value = to_tensor(lw, arg, wanted.dtype).value
    if not isinstance(value, Tensor) or value.type.dtype != wanted.dtype:
        return None
    if value.type.shape == wanted.shape:
        return value
    if value.type.rank == 0:
        spread = lw.emit("broadcast", [Arg(value, arg.span)], arg.span, shape=wanted.shape)
        return spread if isinstance(spread, Tensor) else None
    return None
