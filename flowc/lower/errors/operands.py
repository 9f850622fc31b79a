"""Operands that an op refuses: what clashes, where each comes from, and what would mend it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from flowc.diagnostic import Diagnostic, Label
from flowc.lower.errors.words import shown, spelt
from flowc.lower.values import Arg
from flowc.source import Span, in_library
from flowc_runtime.dims import Dim
from flowc_runtime.ops import CATALOG
from flowc_runtime.ops.op import Reject
from flowc_runtime.types import TensorType

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer

# The names of the catalog's ops in the language, where they differ.
SPELT = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floor_div": "//", "remainder": "%",
    "pow": "^", "matmul": "@", "equal": "==", "not_equal": "!=", "less": "<",
    "less_equal": "<=", "greater": ">", "greater_equal": ">=", "logical_and": "and",
    "logical_or": "or", "logical_not": "not", "conv": "convolve",
    "conv_input_grad": "convolve_transpose", "take_along": "pick",
    "gather": "lookup", "gather_along": "lookup_along", "maximum": "max", "minimum": "min",
    "neg": "-",
}  # fmt: skip
PLACES = ("first", "second", "third")


def rejected(
    op: str, reject: Reject, args: Sequence[Arg], span: Span, lw: Lowerer
) -> Diagnostic:
    """An op's type rule said no: what it says, in the words of the language."""
    name = SPELT.get(op, op.removeprefix("reduce_"))
    types = [arg.value.type for arg in args]
    blamed = args[reject.operand] if reject.operand is not None else None
    if "cast(" in reject.message or "dtype" in reject.message:
        return _wrong_dtype(name, reject, blamed, args, span, lw)
    if op == "matmul" and min(t.rank for t in types) >= 2 and types[0].shape[-1] != (
        types[1].shape[-2]
    ):
        return _unequal_inner(args, span, lw)
    if CATALOG[op].elementwise and len(args) > 1:
        return _no_broadcast(name, args, reject, span, lw)
    message = f"`{name}` {reject.message.removeprefix(f'{op} ')}"
    if blamed is not None:
        message = f"`{name}`: {_called(args, blamed, lw)} {reject.message}"
    return _at(blamed, Diagnostic("shape-mismatch", message, Label(span)), args, lw)


def _wrong_dtype(
    name: str, reject: Reject, blamed: Arg | None, args: Sequence[Arg], span: Span, lw: Lowerer
) -> Diagnostic:
    what, _, cure = reject.message.partition("; use ")
    text = f"`{name}` {what}"
    if blamed is not None:
        text = f"`{name}`: {_called(args, blamed, lw)} {what}"
        cure = cure.replace("cast(x,", f"cast({_spelt(blamed, lw) or 'x'},")
    diagnostic = Diagnostic(
        "dtype-mismatch", text.replace("the other operand", _other(args, reject, lw)), Label(span),
        help=f"write {cure}" if cure else None,
    )
    return _at(blamed, diagnostic, args, lw)


def _other(args: Sequence[Arg], reject: Reject, lw: Lowerer) -> str:
    other = args[reject.other] if reject.other is not None else None
    known = _spelt(other, lw) if other is not None else None
    return f"`{known}`" if known else "the other operand"


def _unequal_inner(args: Sequence[Arg], span: Span, lw: Lowerer) -> Diagnostic:
    left, right = args
    columns, rows = left.value.type.shape[-1], right.value.type.shape[-2]
    diagnostic = Diagnostic(
        "shape-mismatch", f"`@` needs as many rows as columns: {_called(args, left, lw)} has "
        f"{columns} columns, but {_called(args, right, lw)} has {rows} rows", Label(span),
        help=_declare(right, -2, columns, lw),
    )
    return _at(right, diagnostic, args, lw)


def _declare(arg: Arg, axis: int, size: Dim, lw: Lowerer) -> str | None:
    """How the parameter would have to be declared."""
    node = lw.node_of(arg.value)
    if node.op != "variable":
        return None
    shape = list(arg.value.type.shape)
    shape[axis] = size
    name = str(node.attrs["path"]).rpartition(".")[2]
    return f"declare it as {name}: {TensorType(arg.value.type.dtype, tuple(shape))}"


def _no_broadcast(
    name: str, args: Sequence[Arg], reject: Reject, span: Span, lw: Lowerer
) -> Diagnostic:
    b = args[reject.operand or 0]
    a = args[reject.other] if reject.other is not None else args[0]
    clash = _clash(a.value.type, b.value.type)
    if clash is None:
        return _at(None, Diagnostic("shape-mismatch", f"`{name}` {reject.message}", Label(span)),
                   args, lw)
    axis, x, y = clash
    where = "their last axis is" if axis == -1 else f"axis {axis}, from the end, is"
    diagnostic = Diagnostic(
        "shape-mismatch", f"`{name}` cannot join {a.value.type} and {b.value.type}: {where} "
        f"{x} and {y}", Label(span),
        help=_expansion(a, b, lw) or _expansion(b, a, lw),
    )
    return _at(b, diagnostic, args, lw)


def _clash(a: TensorType, b: TensorType) -> tuple[int, Dim, Dim] | None:
    """The last axis that does not fit, counted from the end, with both sizes."""
    for axis in range(1, min(a.rank, b.rank) + 1):
        x, y = a.shape[-axis], b.shape[-axis]
        if x != y and x != 1 and y != 1:
            return -axis, x, y
    return None


def _expansion(large: Arg, small: Arg, lw: Lowerer) -> str | None:
    """Help for one number per example that is to meet all features of the example."""
    a, b = large.value.type.shape, small.value.type.shape
    if 0 < len(b) == len(a) - 1 and a[:-1] == b:
        return f"give it an axis of size 1: expand({_spelt(small, lw) or 'x'}, -1)"
    return None


# --- places -----------------------------------------------------------------------------------


def _at(
    blamed: Arg | None, diagnostic: Diagnostic, args: Sequence[Arg], lw: Lowerer
) -> Diagnostic:
    """The diagnostic with the blamed operand marked, and the others with their types."""
    assert diagnostic.label is not None
    label = Label(blamed.span, str(blamed.value.type)) if blamed else diagnostic.label
    made = origins(args, lw, label.span)
    uses = [Label(arg.span, str(arg.value.type)) for arg in args
            if arg.span != label.span and not _is_number(arg, lw)]
    return replace(diagnostic, label=label, others=tuple(dict.fromkeys([*uses, *made])))


def _is_number(arg: Arg, lw: Lowerer) -> bool:
    return lw.node_of(arg.value).op in ("const", "dim")


def _called(args: Sequence[Arg], arg: Arg, lw: Lowerer) -> str:
    """What an operand is called in a message: its own text, if that is short."""
    text = _spelt(arg, lw)
    several = sum(a.span == arg.span for a in args) > 1
    place = next((i for i, a in enumerate(args) if a is arg), 0)
    if (text is None or several) and len(args) == 1:
        return "it"
    if text is None or several:
        return f"the {PLACES[place]} one" if place < len(PLACES) else "one of them"
    return f"`{text}`"


def _spelt(arg: Arg, lw: Lowerer) -> str | None:
    """The operand as the author wrote it, also where the library passes it on."""
    return spelt(lw.authors_argument(arg.span) or arg.span)


def origins(args: Sequence[Arg], lw: Lowerer, shown_at: Span) -> list[Label]:
    """Where each operand was made, if that is another place than where it is used."""
    labels: list[Label] = []
    for arg in args:
        label = None if _is_number(arg, lw) else lw.defined_at(arg.value)
        if label is None or any(_overlap(label.span, a.span) for a in args):
            continue
        if label.span != shown_at and label.span not in [known.span for known in labels]:
            labels.append(label)
    return labels


def _overlap(a: Span, b: Span) -> bool:
    return a.source == b.source and a.start < b.end and b.start < a.end


def at_call(diagnostic: Diagnostic, lw: Lowerer) -> Diagnostic:
    """A mistake that shows inside the library, told at the author's call instead."""
    assert diagnostic.label is not None
    inside = diagnostic.label.span
    call = lw.authors_span(inside)
    argument = lw.authors_argument(inside)
    label = Label(argument, diagnostic.label.text) if argument else Label(call)
    others = [Label(lw.authors_argument(o.span) or o.span, o.text) for o in diagnostic.others]
    places = {o.span: o for o in reversed(others)
              if not in_library(o.span) and not _covers(o.span, call) and o.span != label.span}
    kept = tuple(reversed(places.values()))
    block = next((f.block for f in lw.frames if f.call == call), "the block")
    note = f"inside `{block}`, at {inside}: {shown(_line_of(inside), 80)}"
    unseen = [o for o in (*([] if argument else [diagnostic.label]), *others)
              if in_library(o.span) and o.text]
    facts = dict.fromkeys(_fact(label) for label in unseen)
    there = (f"there {', '.join(facts)}",) if facts else ()
    return replace(diagnostic, label=label, others=kept,
                   notes=(*diagnostic.notes, note, *there), fix=None)


def _fact(label: Label) -> str:
    name = shown(label.span.text, 24)
    return label.text if label.text.startswith(f"{name} is ") else f"`{name}` is {label.text}"


def _covers(a: Span, b: Span) -> bool:
    return a.source == b.source and a.start <= b.start and b.end <= a.end


def _line_of(span: Span) -> str:
    return span.text if "\n" in span.text else span.source.lines[span.line - 1].strip()
