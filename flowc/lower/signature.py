"""Signatures: tensor types meet tensors, and bind the dimensions and dtypes that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from flowc.graph.builder import Value
from flowc.lower import errors
from flowc.lower.arithmetic import to_tensor
from flowc.lower.limits import fits
from flowc.lower.scope import Binding, Scope
from flowc.lower.values import (
    POISON,
    Arg,
    BlockFunction,
    Builtin,
    Configured,
    Initialiser,
    LayerInstance,
    LocalFunction,
    Tensor,
    dims_of,
    is_dim,
    is_number,
)
from flowc.source import Span
from flowc.syntax import tree as t
from flowc_runtime.dims import Dim, named
from flowc_runtime.types import DTYPES, TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

FUNCTIONS = (BlockFunction, LocalFunction, LayerInstance, Builtin, Initialiser)
KINDS = ("int", "float", "bool", "str", "schedule", "function", "shape")


def bind_parameters(
    lw: Lowerer, definition: t.Block, bound: Mapping[str, Arg], scope: Scope, span: Span
) -> bool:
    """Binds every parameter of a block in `scope`; False where the call was complained about.

    Plain settings come first, because tensor types may name them (`f32[batch, time, width]`);
    defaults come last, because they may name dimensions.
    """
    given = [p for p in definition.parameters if p.name.text in bound]
    plain = [p for p in given if kind_of(p) is not None or p.type is None]
    tensors = [p for p in given if p not in plain]
    good = all([_bind_plain(lw, p, bound[p.name.text], scope) for p in plain])
    good = good and all([_bind_tensor(lw, p, bound[p.name.text], scope) for p in tensors])
    return good and all(
        [_bind_default(lw, p, definition, scope, span)
         for p in definition.parameters if p.name.text not in bound]
    )


def kind_of(parameter: t.Parameter) -> str | None:
    """`int`, `schedule`, ... for a compile-time parameter; None for a tensor or an untyped one."""
    if isinstance(parameter.type, t.Name):
        return parameter.type.text
    if isinstance(parameter.type, t.TensorTypeExpr) and parameter.type.dtype.text in KINDS:
        return parameter.type.dtype.text
    return None


def _bind_plain(lw: Lowerer, parameter: t.Parameter, arg: Arg, scope: Scope) -> bool:
    value = arg.value
    kind = kind_of(parameter)
    if kind is not None:
        value = convert(value, kind)
        if value is POISON:
            lw.report(errors.wrong_kind(parameter, kind, arg))
            return False
    scope.bind(parameter.name.text, value, parameter.name.span, "parameter")
    return True


def convert(value: Any, kind: str) -> Any:
    """The value as a setting of that kind, or POISON where it is none."""
    match kind:
        case "int" if is_dim(value):
            return value
        case "float" if is_number(value) and not isinstance(value, bool):
            return float(value) if isinstance(value, (int, float)) else POISON
        case "bool" if isinstance(value, bool):
            return value
        case "str" if isinstance(value, str):
            return value
        case "schedule" if isinstance(value, (Configured, Tensor)) or is_number(value):
            return value
        case "function" if isinstance(value, FUNCTIONS):
            return value
        case "shape":
            dims = dims_of(value)
            return POISON if dims is None else list(dims)
    return POISON


def _bind_tensor(lw: Lowerer, parameter: t.Parameter, arg: Arg, scope: Scope) -> bool:
    wanted = parameter.type
    assert isinstance(wanted, t.TensorTypeExpr)
    dtype = wanted.dtype.text if wanted.dtype.text in DTYPES else "f32"
    if is_number(arg.value) or isinstance(arg.value, bool):
        arg = to_tensor(lw, arg, dtype)
    if not isinstance(arg.value, Tensor):
        if arg.value is not POISON:
            lw.report(errors.wants_tensor(parameter, arg))
        return False
    block = lw.frames[-1].block if lw.frames else ""
    shape = unify(lw, wanted, arg, scope, errors.Role("argument", parameter.name, block))
    if shape is None:
        return False
    seen = TensorType(arg.value.type.dtype, shape)
    tensor = replace(arg.value, value=Value(arg.value.value.ref, seen))
    scope.bind(parameter.name.text, tensor, parameter.name.span, "parameter")
    return True


def _bind_default(
    lw: Lowerer, parameter: t.Parameter, definition: t.Block, scope: Scope, span: Span
) -> bool:
    name = definition.name.text
    if parameter.default is None:
        names = [p.name.text for p in definition.parameters]
        lw.report(errors.missing_argument(name, parameter.name.text, span, names))
        return False
    arg = lw.arg(parameter.default, scope)
    if arg.value is POISON:
        return False
    if isinstance(parameter.type, t.TensorTypeExpr) and kind_of(parameter) is None:
        return _bind_tensor(lw, parameter, arg, scope)
    return _bind_plain(lw, parameter, arg, scope)


# --- tensor types -----------------------------------------------------------------------------


def unify(
    lw: Lowerer, wanted: t.TensorTypeExpr, arg: Arg, scope: Scope, role: errors.Role
) -> tuple[Dim, ...] | None:
    """Matches a tensor against a type, binding new names; its shape with the names, or None."""
    actual: TensorType = arg.value.type
    if not _unify_dtype(lw, wanted, arg, scope, role):
        return None
    spread = _spread(wanted.dims, actual.rank)
    if spread is None:
        lw.report(errors.wrong_rank(wanted, arg, role, lw))
        return None
    shape: list[Dim] = []
    for expr, dim in zip(spread, actual.shape, strict=True):
        seen = dim if expr is None else _unify_dim(lw, expr, dim, wanted, arg, scope, role)
        if seen is None:
            return None
        shape.append(seen)
    return tuple(shape)


def _spread(dims: Sequence[Any], rank: int) -> list[Any] | None:
    """One pattern per dimension: None stands for those that `...` covers."""
    rest = [i for i, dim in enumerate(dims) if isinstance(dim, t.Ellipsis_)]
    if not rest:
        return list(dims) if len(dims) == rank else None
    covered = rank - (len(dims) - 1)
    if covered < 0 or len(rest) > 1:
        return None
    at = rest[0]
    return [*dims[:at], *([None] * covered), *dims[at + 1 :]]


def _unify_dtype(
    lw: Lowerer, wanted: t.TensorTypeExpr, arg: Arg, scope: Scope, role: errors.Role
) -> bool:
    name, actual = wanted.dtype.text, arg.value.type.dtype
    binding = None if name in DTYPES else scope.names.get(name)
    if binding is None and name not in DTYPES:
        scope.names[name] = Binding(actual, arg.span, "dtype")
        return True
    expected = name if binding is None else binding.value
    if expected != actual:
        lw.report(errors.wrong_dtype(wanted, arg, expected, binding, role, lw))
        return False
    return True


def _unify_dim(
    lw: Lowerer,
    expr: Any,
    dim: Dim,
    wanted: t.TensorTypeExpr,
    arg: Arg,
    scope: Scope,
    role: errors.Role,
) -> Dim | None:
    if isinstance(expr, t.Name):
        known = scope.find(expr.text)
        if known is None or not is_dim(known.value):
            scope.names[expr.text] = Binding(named(dim, expr.text), arg.span, "dimension")
            return named(dim, expr.text)
        if known.span is not None:
            lw.used.add(known.span)
        expected, origin = known.value, known
    elif isinstance(expr, t.NamedDim):
        expected, origin = lw.evaluate(expr.size, scope), None
        scope.names[expr.name.text] = Binding(
            named(dim, expr.name.text), expr.span, "dimension"
        )
    else:
        expected, origin = lw.evaluate(expr, scope), None
    if expected is POISON:
        return None
    if not is_dim(expected):
        lw.report(errors.not_a_dimension(expr.span, expected))
        return None
    if expected != dim:
        lw.report(errors.wrong_dimension(expr, expected, origin, dim, wanted, arg, role, lw))
        return None
    return dim


def check_results(lw: Lowerer, definition: t.Block, result: Arg, scope: Scope) -> Any:
    """Holds the result against the declared types; what fits is returned."""
    if result.value is POISON or not definition.results:
        return result.value
    values = result.value if isinstance(result.value, tuple) else (result.value,)
    if len(values) != len(definition.results):
        lw.report(errors.wrong_result_count(definition, result, len(values)))
        return POISON
    role = errors.Role("result", definition.name)
    for wanted, value in zip(definition.results, values, strict=True):
        if value is POISON:
            return POISON
        if not isinstance(value, Tensor):
            lw.report(errors.result_not_tensor(definition, Arg(value, result.span)))
            return POISON
        if unify(lw, wanted, Arg(value, result.span), scope, role) is None:
            return POISON
    return result.value


def declared_type(lw: Lowerer, type: t.TensorTypeExpr, scope: Scope) -> TensorType | None:
    """The type of an `input`, `param` or `state`; dimensions with a size are bound by name."""
    dtype = type.dtype.text
    binding = scope.find(dtype)
    if dtype not in DTYPES and binding is not None and isinstance(binding.value, str):
        dtype = binding.value
    if dtype not in DTYPES:
        lw.report(errors.unknown_dtype(type.dtype))
        return None
    shape: list[Dim] = []
    for expr in type.dims:
        dim = _declared_dim(lw, expr, scope)
        if dim is None:
            return None
        shape.append(dim)
    declared = TensorType(dtype, tuple(shape))
    if not fits(declared):
        lw.report(errors.tensor_too_large(type.span, declared))
        return None
    return declared


def _declared_dim(lw: Lowerer, expr: Any, scope: Scope) -> Dim | None:
    if isinstance(expr, t.Ellipsis_):
        lw.report(errors.open_shape(expr.span))
        return None
    if isinstance(expr, t.Name) and scope.find(expr.text) is None:
        if expr.text in lw.lost:
            return None
        lw.report(errors.unbound_dimension(expr, scope.visible()))
        return None
    name = expr.name.text if isinstance(expr, t.NamedDim) else None
    size_expr = expr.size if isinstance(expr, t.NamedDim) else expr
    value = lw.evaluate(size_expr, scope)
    if value is POISON:
        return None
    if not is_dim(value):
        lw.report(errors.not_a_dimension(size_expr.span, value))
        return None
    if isinstance(value, int) and value < 1:
        lw.report(errors.bad_size(size_expr.span, value))
        return None
    if name is not None:
        before = scope.find(name)
        if before is not None and before.noun == "dimension" and before.value != value:
            lw.report(errors.dimension_clash(expr, value, before))
            return None
        value = named(value, name)
        scope.bind(name, value, expr.span, "dimension")
    elif isinstance(expr, t.Name):
        value = named(value, expr.text)
    return value  # type: ignore[no-any-return]
