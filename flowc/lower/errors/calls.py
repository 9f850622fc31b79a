"""Calls: what is called, and with which arguments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flowc.diagnostic import Diagnostic, Label
from flowc.lower.errors.names import suggest
from flowc.lower.errors.words import counted, shown, spelt
from flowc.lower.values import Arg, LayerInstance, describe, is_dtype
from flowc.source import Span
from flowc.syntax import tree as t

KIND_WORDS = {
    "int": "a whole number", "float": "a number", "bool": "`true` or `false`", "str": "a text",
    "schedule": "a number or a schedule", "function": "a function or block",
    "shape": "a list of dimensions",
}


def not_callable(span: Span, value: Any) -> Diagnostic:
    return Diagnostic(
        "not-a-function", f"{describe(value)} cannot be called", Label(span),
        help=f"to convert, write cast(x, {value})" if is_dtype(value) else None,
    )


def argument_twice(name: t.Name, before: Span) -> Diagnostic:
    return Diagnostic(
        "wrong-arguments", f"`{name.text}` is given twice", Label(name.span),
        others=(Label(before, "first here"),),
    )


def given_twice(function: str, name: str, span: Span, before: Span) -> Diagnostic:
    return Diagnostic(
        "wrong-arguments", f"`{function}` gets its `{name}` twice", Label(span),
        others=(Label(before, "first here"),),
    )


def too_many_arguments(function: str, most: int, given: Sequence[Arg], span: Span) -> Diagnostic:
    return Diagnostic(
        "wrong-arguments", f"`{function}` takes {counted(most, 'argument')}, "
        f"but gets {len(given)}", Label(given[most].span),
        others=(Label(given[0].span, "this is its first one: it is piped in"),)
        if given[0].span.end <= span.start else (),
    )


def unknown_argument(function: str, name: str, span: Span, known: Iterable[str]) -> Diagnostic:
    known = list(known)
    written = Span(span.source, span.start, span.start + len(name))
    help_, fix = suggest(name, known, written)
    return Diagnostic(
        "wrong-arguments", f"`{function}` has no parameter `{shown(name)}`", Label(span),
        notes=(f"it has {', '.join(known)}",) if known else (), help=help_,
        fix=fix if written.text == name else None,
    )


def missing_argument(function: str, name: str, span: Span, known: Sequence[str]) -> Diagnostic:
    return Diagnostic(
        "wrong-arguments", f"`{function}` needs its `{name}`", Label(span),
        help=f"call it as {function}({', '.join(known)})",
    )


def wrong_kind(parameter: t.Parameter, kind: str, arg: Arg) -> Diagnostic:
    return Diagnostic(
        "wrong-kind", f"`{parameter.name.text}` wants {KIND_WORDS.get(kind, kind)}, "
        f"not {describe(arg.value)}", Label(arg.span),
        others=(Label(parameter.span, "declared here"),),
    )


def wants_tensor(parameter: t.Parameter, arg: Arg) -> Diagnostic:
    return Diagnostic(
        "not-a-tensor", f"`{parameter.name.text}` wants a tensor, not {describe(arg.value)}",
        Label(arg.span), others=(Label(parameter.span, "declared here"),),
    )


def needs_tensor(function: str, arg: Arg) -> Diagnostic:
    several = isinstance(arg.value, (list, tuple))
    return Diagnostic(
        "not-a-tensor", f"`{function}` wants a tensor, not {describe(arg.value)}", Label(arg.span),
        help="stack([a, b]) or concat([a, b]) makes one tensor of several" if several else None,
    )


def no_tensor_among(function: str, parts: Arg, other: Any) -> Diagnostic:
    return Diagnostic(
        "not-a-tensor", f"`{function}` wants a list of tensors, but {describe(other)} is in it",
        Label(parts.span),
    )


def wants(what: str, wanted: str, arg: Arg) -> Diagnostic:
    return Diagnostic(
        "wrong-kind", f"`{what}` wants {wanted}, not {describe(arg.value)}", Label(arg.span),
    )


def reduces_or_compares(function: str, arg: Arg) -> Diagnostic:
    return Diagnostic(
        "wrong-arguments", f"`{function}` of two tensors goes element by element, over no axes",
        Label(arg.span), help=f"reduce first: {function}({function}(x, over = 1), y)",
    )


def no_return(definition: t.Block, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-return", f"the block `{definition.name.text}` ends without a `return`",
        Label(definition.name.span), others=(Label(span, "called here"),),
        help="end it with `return ...`",
    )


def wrong_result_count(definition: t.Block, result: Arg, count: int) -> Diagnostic:
    promised = len(definition.results)
    return Diagnostic(
        "wrong-count", f"`{definition.name.text}` promises {counted(promised, 'result')}, "
        f"but returns {count}", Label(result.span),
        others=(Label(definition.results[0].span.to(definition.results[-1].span),
                      "promised here"),),
    )


def result_not_tensor(definition: t.Block, arg: Arg) -> Diagnostic:
    return Diagnostic(
        "not-a-tensor", f"`{definition.name.text}` promises a tensor, "
        f"but returns {describe(arg.value)}", Label(arg.span),
        others=(Label(definition.results[0].span, "promised here"),),
    )


def layer_of_no_block(statement: t.Layer, value: Any) -> Diagnostic:
    return Diagnostic(
        "not-a-function", f"`layer` wants a block, not {describe(value)}",
        Label(statement.value.span), help="write `layer name = dense(64)`, say",
    )


def no_attributes(expr: t.Attribute, value: Any, is_function: bool) -> Diagnostic:
    """`is_function`: whether a function of that name could be called instead."""
    name = shown(expr.name.text)
    help_ = "only a `layer` has parameters to be named like this"
    if is_function:
        help_ = f"functions are called as {name}({spelt(expr.value.span) or 'x'})"
    return Diagnostic(
        "no-attribute", f"{describe(value)} has no `.{name}`", Label(expr.span), help=help_,
    )


def no_such_parameter(expr: t.Attribute, layer: LayerInstance, known: list[str]) -> Diagnostic:
    help_, fix = suggest(expr.name.text, known, expr.name.span)
    if not known:
        help_ = "a layer has its parameters once it was applied; apply it before"
    return Diagnostic(
        "no-attribute", f"the layer has no parameter `{expr.name.text}`", Label(expr.name.span),
        others=(Label(layer.span, "the layer"),),
        notes=(f"it has {', '.join(known)}",) if known else (), help=help_, fix=fix,
    )


def too_many_calls(span: Span, block: str, chain: Sequence[str]) -> Diagnostic:
    if block in chain:
        circle = chain[len(chain) - 1 - chain[::-1].index(block) :]
        by_way = f" by way of `{'`, `'.join(circle[1:])}`" if len(circle) > 1 else ""
        return Diagnostic(
            "too-deep", f"`{block}` calls itself{by_way}, again and again", Label(span),
            help="use `repeat` for a fixed number of rounds, `scan` to walk along a sequence",
        )
    return Diagnostic(
        "too-deep", f"blocks call each other {len(chain)} deep, at `{block}`", Label(span),
        help="use `repeat` where blocks only hand on to the next",
    )


def too_deep(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        "too-deep", f"expressions and blocks lie inside each other more than {limit} deep",
        Label(span), help="give inner parts a name of their own: part = ...",
    )


def path_too_long(path: Sequence[str], span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        "too-deep", f"the path of the parameters here is longer than {limit:,} characters: "
        f"{'.'.join(path)[:40]}...", Label(span),
        help="use shorter names, or fewer blocks inside each other",
    )


def too_much_work(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        "too-large", f"the model unrolls to more than {limit:,} expressions", Label(span),
        help="use `scan` for long recurrences, or a smaller `repeat`",
    )


def unrolls_too_far(span: Span, total: int, limit: int) -> Diagnostic:
    return Diagnostic(
        "too-large", f"with this `repeat` the model unrolls to some {total:,} expressions; at most "
        f"{limit:,} are taken", Label(span),
        help="use `scan` for long recurrences, or a smaller `repeat`",
    )
