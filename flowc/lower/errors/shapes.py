"""Types: dtypes and shapes that clash, with both origins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowc.diagnostic import Diagnostic, Label
from flowc.lower.errors.operands import origins
from flowc.lower.errors.words import shown, spelt
from flowc.lower.limits import MAX_RANK
from flowc.lower.scope import Binding
from flowc.lower.values import Arg, Tensor, describe
from flowc.source import Span
from flowc.syntax import tree as t
from flowc_runtime.dims import Dim
from flowc_runtime.types import DTYPES, TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer, Variable

@dataclass(frozen=True)
class Role:
    """Which part a tensor plays where a signature is checked: an argument or a result."""

    noun: str
    name: t.Name
    block: str = ""

    def wants(self, wanted: str, actual: TensorType) -> str:
        if self.noun == "result":
            return f"`{self.name.text}` promises {wanted}, but returns {actual}"
        return f"`{self.block}` wants its `{self.name.text}` as {wanted}, but this is {actual}"


def wrong_dtype(
    wanted: t.TensorTypeExpr, arg: Arg, expected: str, bound: Binding | None, role: Role,
    lw: Lowerer,
) -> Diagnostic:
    """`bound` is set where the signature names the dtype, and another argument gave it."""
    name = wanted.dtype.text
    others = (Label(wanted.span, "declared here"), *origins([arg], lw, arg.span))
    if bound is not None and bound.span is not None:
        others = (Label(bound.span, f"`{name}` is {expected} from here"), *others)
    return Diagnostic(
        "dtype-mismatch", role.wants(expected, arg.value.type), Label(arg.span),
        others=others, help=f"write cast({spelt(arg.span) or 'x'}, {expected})",
    )


def wrong_rank(
    wanted: t.TensorTypeExpr, arg: Arg, role: Role, lw: Lowerer
) -> Diagnostic:
    missing = len(wanted.dims) - arg.value.type.rank
    name = spelt(arg.span) or "x"
    return Diagnostic(
        "shape-mismatch", role.wants(_shape_text(wanted), arg.value.type), Label(arg.span),
        others=(Label(wanted.span, "declared here"), *origins([arg], lw, arg.span)),
        help=f"expand({name}, -1) gives it one more axis, of size 1" if missing == 1 else None,
    )


def _shape_text(wanted: t.TensorTypeExpr) -> str:
    """The type as it is declared; a dtype that any will do for is left out."""
    text = shown(wanted.span.text, 60)
    return text if wanted.dtype.text in DTYPES else text.removeprefix(wanted.dtype.text)


def wrong_dimension(
    expr: Any, expected: Dim, origin: Binding | None, dim: Dim, wanted: t.TensorTypeExpr,
    arg: Arg, role: Role, lw: Lowerer,
) -> Diagnostic:
    name = shown(expr.span.text)
    fixed: tuple[Label, ...] = ()
    if origin is not None and origin.span is not None:
        fixed = (Label(origin.span, f"`{name}` is {expected} from here"),)
    value = "" if isinstance(expr, t.Number) else f" with `{name}` = {expected}"
    return Diagnostic(
        "shape-mismatch", role.wants(_shape_text(wanted) + value, arg.value.type),
        Label(arg.span, f"{dim} here"),
        others=(*fixed, Label(expr.span, "declared here"), *origins([arg], lw, arg.span)),
    )


def not_a_dimension(span: Span, value: Any) -> Diagnostic:
    return Diagnostic("wrong-kind", f"a dimension is a whole number, not {describe(value)}",
                      Label(span))


def bad_size(span: Span, value: int) -> Diagnostic:
    return Diagnostic("out-of-range", f"a dimension is at least 1, not {value}", Label(span))


def dimension_clash(expr: t.NamedDim, value: Dim, before: Binding) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"the dimension `{expr.name.text}` is {before.value}, but would be "
        f"{value} here", Label(expr.span),
        others=(Label(before.span, "it has its size from here"),) if before.span else (),
        help="a dimension has one size; give this one another name",
    )


def open_shape(span: Span) -> Diagnostic:
    return Diagnostic(
        "open-shape", "`...` stands for dimensions of an argument; here the shape must be whole",
        Label(span),
    )


def tensor_too_large(span: Span, type: TensorType) -> Diagnostic:
    if type.rank > MAX_RANK:
        message = f"a tensor has up to {MAX_RANK} axes, but this one would have {type.rank}"
        return Diagnostic("too-large", message, Label(span))
    return Diagnostic("too-large", f"a tensor of {type} has more than 2^40 elements", Label(span))


def negative_dimension(span: Span, type: TensorType) -> Diagnostic:
    message = f"this would be a tensor of {type}, but no dimension is below 0"
    return Diagnostic("out-of-range", message, Label(span))


def impossible_with_batch(span: Span | None, type: TensorType, batch: int) -> Diagnostic:
    message = f"with a batch of {batch} this is a tensor of {type}"
    label = Label(span) if span else None
    if min(type.sizes) < 1:
        return Diagnostic(
            "out-of-range", f"{message}, but a dimension is at least 1", label,
            help="a model must also work on single examples: a batch of 1",
        )
    return Diagnostic("too-large", f"{message}, which has more than 2^40 elements", label)


def accidental_broadcast(
    left: Arg, right: Arg, span: Span, result: TensorType, lw: Lowerer
) -> Diagnostic:
    a, b = left.value.type, right.value.type
    sides = [Label(arg.span, str(arg.value.type)) for arg in (left, right)]
    return Diagnostic(
        "accidental-broadcast", f"{a} and {b} stretch each other to {result}", Label(span),
        severity="warning",
        others=tuple([*sides, *origins([left, right], lw, span)]),
        help="squeeze(x, -1) drops an axis of size 1; if all pairs are meant, expand both",
    )


def scalar_product(left: Arg, right: Arg, span: Span) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", "`@` multiplies matrices, but one side is a scalar", Label(span),
        others=tuple(Label(a.span, str(a.value.type)) for a in (left, right)), help="use `*`",
    )


def reshape_size(x: Arg, shape: Arg, size: Dim, lw: Lowerer) -> Diagnostic:
    dims = shape.value if isinstance(shape.value, (list, tuple)) else [shape.value]
    return Diagnostic(
        "shape-mismatch", f"`reshape` keeps all elements: {x.value.type} has {x.value.type.size}, "
        f"but [{', '.join(map(str, dims))}] has room for {size}", Label(shape.span),
        others=(Label(x.span, str(x.value.type)), *origins([x], lw, shape.span)),
        help="a dimension written as -1 is worked out from the others",
    )


def reshape_open(x: Arg, shape: Arg, rest: Dim, lw: Lowerer) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"no size fits the -1: the {x.value.type.size} elements of "
        f"{x.value.type} do not come in groups of {rest}", Label(shape.span),
        others=(Label(x.span, str(x.value.type)), *origins([x], lw, shape.span)),
    )


def squeeze_of_many(x: Arg, axis: int, size: Dim) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"axis {axis} of {x.value.type} has the size {size}, not 1",
        Label(x.span),
    )


def uneven_split(x: Arg, parts: Arg, size: Dim) -> Diagnostic:
    if isinstance(parts.value, list):
        listed = ", ".join(map(str, parts.value))
        message = f"parts of [{listed}] do not make up a dimension of {size}"
        return Diagnostic("shape-mismatch", message, Label(parts.span),
                          others=(Label(x.span, str(x.value.type)),))
    return Diagnostic(
        "inexact-division", f"a dimension of {size} has no {describe(parts.value)} of equal parts"
        .replace("the number ", ""), Label(parts.span), others=(Label(x.span, str(x.value.type)),),
    )


def index_too_long(index: Arg, into: Arg, count: int) -> Diagnostic:
    into_type = into.value.type if isinstance(into.value, Tensor) else describe(into.value)
    return Diagnostic(
        "shape-mismatch", f"an index of {count} axes does not lead into {into_type}",
        Label(index.span, str(index.value.type)), others=(Label(into.span),),
    )


def pads_too_much(x: Arg, axis: int, size: int, mode: str, most: int) -> Diagnostic:
    return Diagnostic(
        "out-of-range", f"`pad` has {size} elements along axis {axis}, of which \"{mode}\" can add "
        f"{most} on a side", Label(x.span, str(x.value.type)),
    )


def no_image(function: str, x: Arg) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"`{function}` wants images [batch, height, width, channels], "
        f"or one axis or three between batch and channels, but this is {x.value.type}",
        Label(x.span),
        help="a grey image gets its channel with expand(x, -1)",
    )


def no_kernel(function: str, axes: str, kernel: Arg) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"`{function}` wants a kernel [{axes}] of known sizes, but this is "
        f"{kernel.value.type}", Label(kernel.span),
    )


def bad_equation(equation: Arg, why: str) -> Diagnostic:
    return Diagnostic(
        "wrong-arguments", f"`einsum` cannot read \"{shown(equation.value)}\": {why}",
        Label(equation.span),
    )


def letter_clash(equation: Arg, letter: str, known: Dim, arg: Arg, size: Dim) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"`einsum`: {letter} has the size {known}, but {size} here",
        Label(arg.span, str(arg.value.type)), others=(Label(equation.span, "by this equation"),),
    )


def not_scalar(statement: t.Loss | t.Metric, arg: Arg) -> Diagnostic:
    noun = "the loss" if isinstance(statement, t.Loss) else f"`{statement.name.text}`"
    return Diagnostic(
        "not-scalar", f"{noun} is {arg.value.type}, but must be one number", Label(arg.span),
        help="wrap it in mean(...)",
    )


def loss_dtype(arg: Arg) -> Diagnostic:
    return Diagnostic(
        "dtype-mismatch", f"the loss is {arg.value.type}, but only fractions can fall bit by bit",
        Label(arg.span), help="a loss for classes is mean(cross_entropy(logits, label))",
    )


def shared_with_other_type(
    statement: Any, path: str, known: Variable, wanted: TensorType
) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"the shared parameter `{path}` is {known.tensor.type}, but here it "
        f"would have to be {wanted}", Label(statement.span),
        others=(Label(known.span, f"it became {known.tensor.type} here"),),
        help="a layer has one set of parameters: apply it to inputs of one width, or make two",
    )


def next_of_other_type(statement: t.Next, found: Binding, value: Arg) -> Diagnostic:
    what = value.value.type if isinstance(value.value, Tensor) else describe(value.value)
    return Diagnostic(
        "shape-mismatch", f"`{statement.name.text}` is {found.value.type}, but its next value is "
        f"{what}", Label(value.span),
        others=(Label(found.span, "declared here"),) if found.span else (),
    )


def carry_changes(carry: t.Carry, first: Arg, value: Arg) -> Diagnostic:
    what = value.value.type if isinstance(value.value, Tensor) else describe(value.value)
    return Diagnostic(
        "shape-mismatch", f"the carry `{carry.name.text}` starts as {first.value.type}, but goes "
        f"on as {what}", Label(value.span), others=(Label(first.span, "starts here"),),
    )


def no_such_axis(over: t.Name, arg: Arg) -> Diagnostic:
    return Diagnostic(
        "no-such-axis", f"`{over.text}` names no axis of {arg.value.type}", Label(over.span),
        others=(Label(arg.span, str(arg.value.type)),),
        help=f"name the dimension where the tensor is declared: f32[batch, {over.text}, n]",
    )


def unequal_sequences(first: Arg, length: Dim, other: Arg, other_length: Dim) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"the sequences have {length} and {other_length} elements",
        Label(other.span, f"{other_length}"), others=(Label(first.span, f"{length}"),),
    )
