"""Values: what an operator or statement cannot take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.diagnostic import Diagnostic, Label
from flowc.lower.errors.words import counted, shown, spelt
from flowc.lower.scope import Binding
from flowc.lower.values import Arg, BlockFunction, Builtin, Tensor, describe
from flowc.source import Span
from flowc.syntax import tree as t
from flowc.syntax.names import names_in
from flowc_runtime.dims import NamedSize, Poly
from flowc_runtime.types import TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

BATCH_HELP = "`batch` is only fixed when the plan is made; the model must not depend on it"


def sides(*operands: Arg) -> tuple[Label, ...]:
    """What the operands are, where their text does not say it."""
    return tuple(Label(a.span, text) for a in operands if (text := _said_of(a)))


def _said_of(arg: Arg) -> str:
    if isinstance(arg.value, Tensor):
        return str(arg.value.type)
    name = spelt(arg.span)
    plain = name is not None and name.isidentifier() and name not in ("true", "false")
    return f"{name} is {shown(str(arg.value))}" if plain and _is_plain(arg.value) else ""


def bad_operands(op: str, left: Arg, right: Arg, span: Span) -> Diagnostic:
    return Diagnostic(
        "wrong-kind", f"`{op}` cannot take {describe(left.value)} and {describe(right.value)}",
        Label(span), others=sides(left, right),
    )


def bad_operand(op: str, operand: Arg, span: Span) -> Diagnostic:
    return Diagnostic("wrong-kind", f"`{op}` cannot take {describe(operand.value)}", Label(span))


def inexact(op: str, left: Arg, right: Arg, span: Span, reason: str) -> Diagnostic:
    return Diagnostic(
        "inexact-division", f"`{op}` of whole numbers is exact, but {reason}", Label(span),
        others=sides(left, right),
        help="write `//` to round down, or make one a fraction, as in `1.0 / 3`",
    )


def list_too_long(span: Span, limit: int) -> Diagnostic:
    return Diagnostic("too-large", f"this list holds more than {limit:,} things", Label(span))


def division_by_zero(span: Span) -> Diagnostic:
    return Diagnostic("division-by-zero", "a division by zero", Label(span))


def out_of_range(op: str, span: Span, *operands: Arg) -> Diagnostic:
    return Diagnostic(
        "out-of-range", f"the result of `{op}` is out of range", Label(span),
        others=sides(*operands),
        help="whole numbers go up to 2^63; with a fraction, as 2.0 ^ 70, there is more room",
    )


def outside_domain(function: str, arg: Arg) -> Diagnostic:
    return Diagnostic(
        "out-of-range", f"`{function}` is not defined for {describe(arg.value)}", Label(arg.span),
    )


def not_known_yet(op: str, left: Arg, right: Arg, span: Span) -> Diagnostic:
    return Diagnostic(
        "not-known-yet", f"`{op}` needs sizes that are known while compiling", Label(span),
        others=sides(left, right), help=BATCH_HELP,
    )


def not_known_to_divide(left: Arg, right: Arg, span: Span) -> Diagnostic:
    return Diagnostic(
        "not-known-yet", f"whether `{right.value}` divides `{left.value}` is not known while "
        "compiling", Label(span), others=sides(left, right), help=BATCH_HELP,
    )


def no_number_of(arg: Arg, dtype: str) -> Diagnostic:
    kind = TensorType(dtype).kind
    if isinstance(arg.value, float) and kind == "int":
        return Diagnostic(
            "dtype-mismatch", f"the number {arg.value} meets a tensor of whole numbers ({dtype})",
            Label(arg.span), help="cast the tensor first: cast(x, f32)",
        )
    value = arg.value
    name = value.name if isinstance(value, Builtin) else \
        value.definition.name.text if isinstance(value, BlockFunction) else None
    return Diagnostic(
        "wrong-kind", f"{describe(arg.value)} cannot become a tensor of {dtype}", Label(arg.span),
        help=f"it is called as {name}(x)" if name else None,
    )


def beyond_dtype(arg: Arg, dtype: str, range: tuple[float, float]) -> Diagnostic:
    low, high = (f"{int(end)}" if TensorType(dtype).kind == "int" else f"{end:g}" for end in range)
    return Diagnostic(
        "out-of-range", f"{describe(arg.value)} does not fit into {dtype}, which holds {low} to "
        f"{high}", Label(arg.span), help="cast the tensor to a wider dtype first",
    )


def integer_division(args: list[Arg], span: Span) -> Diagnostic:
    dtype = args[0].value.type.dtype
    return Diagnostic(
        "dtype-mismatch", f"`/` divides fractions, but these are whole numbers ({dtype})",
        Label(span), others=tuple(Label(a.span, str(a.value.type)) for a in args),
        help="cast first: cast(x, f32) / 255, or round down with `//`",
    )


def not_a_condition(span: Span, value: Any, where: str) -> Diagnostic:
    if isinstance(value, Tensor):
        return Diagnostic(
            "runtime-condition", f"`{where}` decides while compiling, but this is "
            f"{describe(value)}", Label(span),
            help="choose between values at run time with where(condition, a, b)",
        )
    return Diagnostic("wrong-kind", f"`{where}` wants a condition, not {describe(value)}",
                      Label(span))


def bad_count(span: Span, value: Any) -> Diagnostic:
    if isinstance(value, Poly):
        return Diagnostic(
            "not-known-yet", f"`repeat` unrolls while compiling, when `{value}` is not known yet",
            Label(span), help=BATCH_HELP,
        )
    walked = isinstance(value, Tensor)
    return Diagnostic(
        "wrong-kind", f"`repeat` wants a whole number from 0, not {describe(value)}", Label(span),
        help="to walk along a dimension of a tensor use `scan`" if walked else None,
    )


def wrong_unpacking(statement: t.Bind, value: Any) -> Diagnostic:
    return Diagnostic(
        "wrong-count", f"{counted(len(statement.targets), 'name')} on the left, "
        f"{describe(value)} on the right", Label(statement.value.span),
        others=(Label(statement.targets[0].span.to(statement.targets[-1].span)),),
    )


def assertion_failed(statement: t.Assert, scope: Any, lw: Lowerer) -> Diagnostic:
    condition = shown(statement.condition.span.text, 60)
    said = statement.message.value if statement.message else f"`{condition}` does not hold"
    return Diagnostic(
        "assert-failed", said, Label(statement.condition.span),
        others=_facts(statement.condition, scope, lw),
    )


def _facts(condition: t.Expr, scope: Any, lw: Lowerer) -> tuple[Label, ...]:
    """The values of the names in a failed condition, and where tensors come from."""
    labels: dict[str, Label] = {}
    made: dict[str, Label] = {}
    for name in sorted(names_in(condition), key=lambda n: n.span.start):
        found = scope.find(name.text)
        if found is not None and isinstance(found.value, Tensor):
            labels.setdefault(name.text, Label(name.span, str(found.value.type)))
            if origin := lw.defined_at(found.value):
                made[name.text] = origin
        elif found is not None and _is_plain(found.value):
            value = shown(str(found.value))
            labels.setdefault(name.text, Label(name.span, f"{name.text} is {value}"))
    return (*labels.values(), *made.values())


def _is_plain(value: Any) -> bool:
    return isinstance(value, (int, float, str, list, tuple, Poly))


def no_index(expr: t.Index, value: Any) -> Diagnostic:
    return Diagnostic("wrong-kind", f"{describe(value)} cannot be indexed", Label(expr.span))


def too_many_indices(expr: t.Index, most: int) -> Diagnostic:
    return Diagnostic(
        "wrong-count", f"{len(expr.items)} indices for {counted(most, 'dimension')}",
        Label(expr.span),
    )


def index_not_integer(span: Span, value: Any) -> Diagnostic:
    if isinstance(value, Tensor):
        return Diagnostic(
            "runtime-condition", "an index in brackets is known while compiling, but this is "
            f"{describe(value)}", Label(span), help="look rows up with lookup(table, index)",
        )
    return Diagnostic("wrong-kind", f"an index is a whole number, not {describe(value)}",
                      Label(span))


def index_outside(span: Span, position: int, size: int) -> Diagnostic:
    return Diagnostic(
        "out-of-range", f"the index {position} lies outside 0..{size - 1}", Label(span),
    )


def slice_of_unknown(span: Span, size: Any) -> Diagnostic:
    return Diagnostic(
        "not-known-yet", f"what to take of the dimension `{size}` must be known while compiling",
        Label(span), help=BATCH_HELP,
    )


def zero_step(span: Span) -> Diagnostic:
    return Diagnostic("out-of-range", "a slice cannot step by 0", Label(span))


def empty_slice(span: Span, size: int) -> Diagnostic:
    return Diagnostic("out-of-range", f"the slice takes nothing of {size} elements", Label(span))


def no_axis(arg: Arg, of: Tensor) -> Diagnostic:
    named = [d.name for d in of.type.shape if isinstance(d, NamedSize)]
    help_ = "name a dimension, or count axes from 0, or from -1 backwards"
    if arg.value in [*named, "batch"]:
        help_ = f"write {arg.value} without quotes"
    return Diagnostic(
        "no-such-axis", f"{_axis_text(arg.value)} is no axis of {of.type}", Label(arg.span),
        help=help_,
    )


def no_list(first: Arg, second: Arg) -> Diagnostic:
    names = ", ".join(spelt(a.span) or x for a, x in ((first, "a"), (second, "b")))
    return Diagnostic(
        "wrong-kind", "`concat` wants its tensors in one list", Label(first.span.to(second.span)),
        help=f"write concat([{names}])",
    )


def _axis_text(value: Any) -> str:
    return f"the dimension `{value.name}`" if hasattr(value, "name") else describe(value)


def axis_outside(arg: Arg, of: Tensor, rank: int) -> Diagnostic:
    return Diagnostic(
        "no-such-axis", f"there is no axis {arg.value} in {of.type}", Label(arg.span),
        help=f"axes run from 0 to {rank - 1}, or from -1 backwards" if rank else None,
    )


def axis_twice(arg: Arg) -> Diagnostic:
    return Diagnostic("no-such-axis", "an axis is named twice", Label(arg.span))


def param_dtype(statement: t.Param | t.State, type: TensorType) -> Diagnostic:
    message = f"a parameter learns, so it is f64, f32 or f16, not {type.dtype}"
    help_ = "use `state` for what is not learned"
    if statement.type is not None and statement.type.dtype.text != type.dtype:
        message = f"the parameter `{statement.name.text}` would be {type.dtype} as the argument " \
            "is, but what learns is f64, f32 or f16"
        help_ = "cast the argument first: cast(x, f32)"
    span = statement.type.dtype.span if statement.type else statement.span
    return Diagnostic("dtype-mismatch", message, Label(span), help=help_)


def next_of_no_state(statement: t.Next, found: Binding | None) -> Diagnostic:
    name = statement.name.text
    help_ = f"declare it: state {name}: f32[] = zeros"
    if found is not None and found.noun == "param":
        help_ = "a parameter gets its next value from the optimizer"
    return Diagnostic(
        "next-of-no-state", f"`{name}` is no state, so it has no next value",
        Label(statement.name.span),
        others=(Label(found.span, f"`{name}` is bound here"),) if found and found.span else (),
        help=help_,
    )


def bad_initial(statement: Any, value: Arg, type: TensorType) -> Diagnostic:
    what = value.value.type if isinstance(value.value, Tensor) else describe(value.value)
    return Diagnostic(
        "bad-initial", f"{what} is no first value for `{statement.name.text}`: {type}",
        Label(value.span), others=(Label(statement.type.span, "declared here"),)
        if statement.type else (),
    )


def initial_from_tensor(name: t.Name, found: Binding) -> Diagnostic:
    return Diagnostic(
        "bad-initial", f"a first value cannot depend on the tensor `{name.text}`, which exists "
        "only in a step", Label(name.span),
        others=(Label(found.span, "made here"),) if found.span else (),
        help="use numbers, dimensions, hyperparameters or an initialiser such as glorot",
    )
