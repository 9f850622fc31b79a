"""Types: dtypes and shapes that clash, with both origins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flowc.diagnostic import Diagnostic, Label
from flowc.lower.scope import Binding
from flowc.lower.values import Arg, Tensor, describe
from flowc.source import Span
from flowc.syntax import tree as t
from flowc_runtime.dims import Dim
from flowc_runtime.ops.op import Reject
from flowc_runtime.types import TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Frame, Lowerer, Variable

OPERATORS = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floor_div": "//", "remainder": "%",
    "pow": "^", "matmul": "@", "equal": "==", "not_equal": "!=", "less": "<",
    "less_equal": "<=", "greater": ">", "greater_equal": ">=", "logical_and": "and",
    "logical_or": "or", "logical_not": "not", "conv2d": "convolve", "take_along": "pick",
    "gather": "lookup", "maximum": "max", "minimum": "min", "neg": "-",
}


@dataclass(frozen=True)
class Role:
    """Which part a tensor plays where a signature is checked: an argument or a result."""

    noun: str
    name: t.Name

    def __str__(self) -> str:
        return f"the {self.noun} of `{self.name.text}`" if self.noun == "result" \
            else f"`{self.name.text}`"


def rejected(
    op: str, reject: Reject, args: Sequence[Arg], span: Span, lw: Lowerer
) -> Diagnostic:
    """An op's type rule said no: the blamed operand is shown, and where each comes from."""
    spelt = OPERATORS.get(op, op.removeprefix("reduce_"))
    blamed = args[reject.operand] if reject.operand is not None else None
    where = blamed.span if blamed is not None else span
    code = "dtype-mismatch" if _about_dtypes(args, reject) else "shape-mismatch"
    labels = [Label(a.span, str(a.value.type)) for a in args if a.span != where]
    if blamed is not None:
        labels.append(Label(where, str(blamed.value.type)))
    message = f"`{spelt}`: the {_nth(reject.operand)} {reject.message}" if blamed is not None \
        else f"`{spelt}` {reject.message}"
    return Diagnostic(code, message, Label(where, ""),
                      others=(*labels, *origins(args, lw, where)))


def _about_dtypes(args: Sequence[Arg], reject: Reject) -> bool:
    return "dtype" in reject.message or "cast(" in reject.message


def _nth(operand: int | None) -> str:
    names = ("first operand", "second operand", "third operand")
    return names[operand] if operand is not None and operand < 3 else "operand"


def origins(args: Sequence[Arg], lw: Lowerer, shown: Span) -> list[Label]:
    """Where each operand was made, if that is another place than where it is used."""
    labels: list[Label] = []
    for arg in args:
        label = lw.defined_at(arg.value)
        if label is None or any(_overlap(label.span, a.span) for a in args):
            continue
        if label.span != shown and label.span not in [known.span for known in labels]:
            labels.append(label)
    return labels


def _overlap(a: Span, b: Span) -> bool:
    return a.source == b.source and a.start < b.end and b.start < a.end


def at_call(diagnostic: Diagnostic, call: Span, frames: Sequence[Frame]) -> Diagnostic:
    """A mistake that shows inside the library, told at the author's call instead."""
    assert diagnostic.label is not None
    inside = diagnostic.label.span
    kept = tuple(o for o in diagnostic.others if not o.span.source.name.startswith("std/")
                 and not (o.span.start <= call.start and call.end <= o.span.end))
    block = next((f.block for f in frames if f.call == call), "the block")
    note = f"inside `{block}`, at {inside}: {_line_of(inside)}"
    facts = tuple(f"there `{o.span.text}` is {o.text}" for o in diagnostic.others
                  if o.span.source.name.startswith("std/") and o.text)
    return replace(diagnostic, label=Label(call), others=kept,
                   notes=(*diagnostic.notes, note, *facts))


def _line_of(span: Span) -> str:
    return span.source.lines[span.line - 1].strip()


def wrong_dtype(wanted: t.TensorTypeExpr, arg: Arg, expected: str, role: Role) -> Diagnostic:
    return Diagnostic(
        "dtype-mismatch", f"{role} wants {expected}, but this is {arg.value.type}",
        Label(arg.span), others=(Label(wanted.span, "declared here"),),
        help=f"cast(x, {expected}) converts",
    )


def wrong_rank(wanted: t.TensorTypeExpr, arg: Arg, role: Role) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"{role} wants {wanted.span.text}, but this is {arg.value.type}",
        Label(arg.span), others=(Label(wanted.span, "declared here"),),
    )


def wrong_dimension(
    expr: Any, expected: Dim, origin: Binding | None, dim: Dim, wanted: t.TensorTypeExpr,
    arg: Arg, role: Role,
) -> Diagnostic:
    name = expr.text if isinstance(expr, t.Name) else expr.span.text
    fixed: tuple[Label, ...] = ()
    if origin is not None and origin.span is not None:
        fixed = (Label(origin.span, f"`{name}` is {expected} from here"),)
    return Diagnostic(
        "shape-mismatch", f"{role} wants {wanted.span.text} with `{name}` = {expected}, "
        f"but this is {arg.value.type}", Label(arg.span, f"{dim} here"),
        others=(*fixed, Label(expr.span, "declared here")),
    )


def not_a_dimension(span: Span, value: Any) -> Diagnostic:
    return Diagnostic("wrong-kind", f"a dimension is a whole number, not {describe(value)}",
                      Label(span))


def bad_size(span: Span, value: int) -> Diagnostic:
    return Diagnostic("out-of-range", f"a dimension is at least 1, not {value}", Label(span))


def open_shape(span: Span) -> Diagnostic:
    return Diagnostic(
        "open-shape", "`...` stands for dimensions of an argument; here the shape must be whole",
        Label(span),
    )


def tensor_too_large(span: Span, type: TensorType) -> Diagnostic:
    return Diagnostic("too-large", f"a tensor of {type} has more than 2^40 elements", Label(span))


def accidental_broadcast(left: Arg, right: Arg, span: Span) -> Diagnostic:
    return Diagnostic(
        "accidental-broadcast", f"{left.value.type} and {right.value.type} stretch each other",
        Label(span), severity="warning",
        help="if that is meant, say so with expand(x, axis); else squeeze(x, axis) one of them",
    )


def scalar_product(left: Arg, right: Arg, span: Span) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", "`@` multiplies matrices, but one side is a scalar", Label(span),
        others=tuple(Label(a.span, str(a.value.type)) for a in (left, right)), help="use `*`",
    )


def reshape_open(x: Arg, shape: Arg, reason: str, lw: Lowerer) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"{x.value.type} does not fit this shape: {reason}", Label(shape.span),
        others=(Label(x.span, str(x.value.type)), *origins([x], lw, shape.span)),
    )


def squeeze_of_many(x: Arg, axis: Arg, size: Dim) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"axis {axis.value} of {x.value.type} has the size {size}, not 1",
        Label(x.span),
    )


def uneven_split(x: Arg, parts: Arg, size: Dim) -> Diagnostic:
    return Diagnostic(
        "inexact-division", f"a dimension of {size} has no {describe(parts.value)} of equal parts"
        .replace("the number ", ""), Label(parts.span), others=(Label(x.span, str(x.value.type)),),
    )


def no_image(function: str, x: Arg) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"`{function}` wants images [batch, height, width, channels], "
        f"but this is {x.value.type}", Label(x.span),
        help="a grey image gets its channel with expand(x, -1)",
    )


def not_scalar(statement: t.Loss | t.Metric, arg: Arg) -> Diagnostic:
    noun = "the loss" if isinstance(statement, t.Loss) else f"`{statement.name.text}`"
    return Diagnostic(
        "not-scalar", f"{noun} is {arg.value.type}, but must be one number", Label(arg.span),
        help="wrap it in mean(...)",
    )


def shared_with_other_type(
    statement: Any, path: str, known: Variable, wanted: TensorType
) -> Diagnostic:
    return Diagnostic(
        "shape-mismatch", f"the shared parameter `{path}` is {known.tensor.type}, but here it "
        f"would have to be {wanted}", Label(statement.span),
        help="a layer can only be applied to inputs of one shape",
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
