"""Hyperparameters, the data, train and place sections, and `-D` on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from flowc.diagnostic import Diagnostic, Fix, Label, nearest
from flowc.lower.errors.names import suggest
from flowc.lower.errors.words import counted, shown
from flowc.lower.values import Arg, describe
from flowc.source import Span
from flowc.syntax import tree as t

HYPER_WORDS = {"int": "a whole number", "float": "a number", "bool": "`true` or `false`",
               "str": "a text"}


OPTIMIZERS_OWN = {"lr": "lr", "learning_rate": "lr", "momentum": "momentum",
                  "weight_decay": "weight_decay"}


def hyper_kind(name: t.Name, kinds: Sequence[str]) -> Diagnostic:
    help_, fix = suggest(name.text, kinds, name.span)
    return Diagnostic(
        "wrong-kind", f"a hyperparameter is {', '.join(kinds)}, not `{name.text}`",
        Label(name.span), help=help_, fix=fix,
    )


def hyper_type(item: t.Hyper, arg: Arg) -> Diagnostic:
    return Diagnostic(
        "wrong-kind", f"`{item.name.text}` is {HYPER_WORDS[item.type.text]}, "
        f"not {describe(arg.value)}", Label(arg.span),
        others=(Label(item.span, "declared here"),) if arg.span.source != item.span.source else (),
    )


def bad_choices(item: t.Hyper, choices: Arg) -> Diagnostic:
    return Diagnostic(
        "wrong-kind", f"the choices of `{item.name.text}` are a range or a list of values, "
        f"not {describe(choices.value)}", Label(choices.span),
        help=f"write `in 1..64`, or `in [{_sample(item.type.text)}]`",
    )


def _sample(kind: str) -> str:
    return {"str": '"a", "b"', "bool": "true, false"}.get(kind, "16, 32, 64")


def hyper_outside(item: t.Hyper, arg: Arg) -> Diagnostic:
    assert item.choices is not None
    return Diagnostic(
        "hyper-range", f"{describe(arg.value)} lies outside "
        f"{item.choices.span.text}", Label(arg.span),
        others=(Label(item.choices.span, "the choices"),),
    )


def unknown_define(name: str, expr: t.Expr, known: Sequence[str]) -> Diagnostic:
    near = nearest(name, known)
    return Diagnostic(
        "unknown-define", f"the model has no hyperparameter `{name}`", Label(expr.span),
        notes=(f"it has {', '.join(known)}",) if known else (),
        help=f"did you mean -D {near}=...?" if near else
        "hyperparameters are set by name, settings of the train section as train.NAME",
    )


def unknown_setting(key: t.Name, known: Iterable[str], where: str) -> Diagnostic:
    known = sorted(known)
    help_, fix = suggest(key.text, known, key.span)
    if key.text in OPTIMIZERS_OWN:
        help_ = f"it belongs to the optimizer: optimizer = adam({OPTIMIZERS_OWN[key.text]} = ...)"
    return Diagnostic(
        "unknown-setting", f"`{where}` has no setting `{shown(key.text)}`", Label(key.span),
        notes=(f"it has {', '.join(known)}",), help=help_, fix=fix,
    )


def setting_twice(key: t.Name, before: Span) -> Diagnostic:
    return Diagnostic(
        "duplicate-name", f"`{key.text}` is set twice", Label(key.span),
        others=(Label(before, "first here"),),
    )


def setting_kind(key: t.Name, wanted: str, arg: Arg) -> Diagnostic:
    return Diagnostic(
        "wrong-kind", f"`{key.text}` wants {wanted}, not {describe(arg.value)}", Label(arg.span),
    )


def both_lengths(epochs: Span, steps: Span) -> Diagnostic:
    return Diagnostic(
        "duplicate-name", "the length is set twice, as `epochs` and as `steps`", Label(steps),
        others=(Label(epochs, "first here"),), help="keep one of them",
    )


def uneven_shards(span: Span, shards: int, batch: int) -> Diagnostic:
    near = next(n for n in range(min(shards, batch), 0, -1) if batch % n == 0)
    return Diagnostic(
        "uneven-shards",
        f"a batch of {batch} examples cannot be cut into {shards} shards of equal size",
        Label(span), help=f"shards = {near}, or a batch of {shards * max(1, batch // shards)}",
    )


def undeclared_data(key: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "wrong-kind", f"`{key}` wants a `data` item, which says what its fields feed", Label(span),
        help="declare it: data train = ... -> (image, label), and write data = train",
    )


def no_train(model: t.Model) -> Diagnostic:
    return Diagnostic(
        "no-train", "the file has no `train` section", Label(model.name.span),
        help="train { data = ...  optimizer = adam()  epochs = 5 }",
    )


def no_data(train: t.Train) -> Diagnostic:
    return Diagnostic(
        "no-train", "the train section names no data", Label(train.span), help="data = train",
    )


def bad_source_argument(span: Span, function: str, message: str, help: str | None) -> Diagnostic:
    return Diagnostic("wrong-arguments", f"`{function}` {message}", Label(span), help=help)


def not_a_source(span: Span, value: Any) -> Diagnostic:
    return Diagnostic(
        "wrong-kind", f"this is {describe(value)}, where data is wanted", Label(span),
        help="call a source: idx, csv, npy, npz, text or images",
    )


def transform_without_data(name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "wrong-kind", f"`{name}` changes data, so data must be piped into it", Label(span),
        help=f"train |> {name}",
    )


def wrong_field_count(item: t.Data, count: int) -> Diagnostic:
    named = len(item.fields)
    return Diagnostic(
        "wrong-count", f"the source gives {counted(count, 'field')}, but {named} "
        f"{'is' if named == 1 else 'are'} named",
        Label(item.fields[0].span.to(item.fields[-1].span)),
    )


def unknown_field(name: t.Name, inputs: Sequence[str]) -> Diagnostic:
    help_, fix = suggest(name.text, inputs, name.span)
    return Diagnostic(
        "field-mismatch", f"the model has no input `{name.text}`", Label(name.span),
        notes=(f"its inputs are {', '.join(inputs)}",) if inputs else (), help=help_, fix=fix,
    )


def field_missing(item: t.Data, name: str, declared: Span) -> Diagnostic:
    return Diagnostic(
        "field-mismatch", f"the data `{item.name.text}` gives nothing for the input `{name}`",
        Label(item.fields[0].span.to(item.fields[-1].span)),
        others=(Label(declared, "the input"),),
    )


def freezes_nothing(span: Span, pattern: str, known: Sequence[str]) -> Diagnostic:
    near = nearest(pattern, known)
    return Diagnostic(
        "unknown-path", f'no parameter matches "{pattern}"', Label(span),
        notes=(f"the parameters are {', '.join(known[:12])}{' ...' * (len(known) > 12)}",),
        help=f"did you mean `{near}`?" if near else "`*` stands for one name, `**` for any number",
    )


def too_many_patterns(span: Span, limit: int) -> Diagnostic:
    return Diagnostic(
        "too-large", f"there are more than {limit} path patterns with `*`",
        Label(span, "this is one more"), help="join some: `**` is any number of names",
    )


def place_names_nothing(span: Span, pattern: str, known: Sequence[str]) -> Diagnostic:
    near = nearest(pattern, known)
    return Diagnostic(
        "unknown-path", f"nothing in the model is called `{pattern}`", Label(span),
        notes=(f"it has {', '.join(known[:12])}{' ...' * (len(known) > 12)}",) if known else (),
        help=f"did you mean `{near}`?" if near else
        "a shard is a parameter; a stage holds parameters, layers or names that the model binds",
    )


def range_of_nothing(span: Span) -> Diagnostic:
    return Diagnostic(
        "out-of-range", "the range holds nothing: its end comes before its begin", Label(span),
        help="the order is that in which the model binds the names",
    )


def only_a_place(span: Span) -> Diagnostic:
    return Diagnostic(
        "misplaced", "a file for --place holds one place section, and nothing else", Label(span),
        help="place { ... }",
    )


def unknown_role(name: t.Name, known: Sequence[str]) -> Diagnostic:
    near = nearest(name.text, known)
    return Diagnostic(
        "unknown-role", f"`{name.text}` is no role that can stand here", Label(name.span),
        help=f"did you mean `{near}`?" if near else f"here stands {' or '.join(known)}",
        fix=Fix(name.span, near) if near else None,
    )


def unknown_measure(name: t.Name) -> Diagnostic:
    return Diagnostic(
        "unknown-role", f"variables cannot be spread by `{name.text}`", Label(name.span),
        help="they are spread by bytes", fix=Fix(name.span, "bytes"),
    )


def only_rows(axis: t.Number) -> Diagnostic:
    return Diagnostic(
        "out-of-range", f"a variable can be split along axis 0, not {axis.value}",
        Label(axis.span), help="axis 0 cuts it into rows",
    )


def placed_twice(key: str, span: Span, before: Span) -> Diagnostic:
    return Diagnostic(
        "duplicate-name", f"`{key}` stands in the place section twice", Label(span),
        others=(Label(before, "first here"),), help="keep one of them",
    )


def stages_both_ways(span: Span, pinned: Span) -> Diagnostic:
    return Diagnostic(
        "duplicate-name", "stages are named, and the compiler is asked to cut some", Label(span),
        others=(Label(pinned, "named here"),),
        help="keep `stage on … { … }`, or `pipeline stages = N`",
    )


def unknown_sync(span: Span, known: Sequence[str]) -> Diagnostic:
    near = nearest(span.text, known)
    return Diagnostic(
        "unknown-sync", f"`{span.text}` is no way for gradients to meet", Label(span),
        notes=("there are sync, all_reduce, backup(1) and async(max_staleness = 4)",),
        help=f"did you mean `{near}`?" if near else None,
    )


def sync_takes_nothing(span: Span, mode: str) -> Diagnostic:
    return Diagnostic(
        "unknown-sync", f"`{mode}` takes nothing in brackets", Label(span), help=f"sync = {mode}"
    )


def sync_without_ps(span: Span, place: Span) -> Diagnostic:
    return Diagnostic(
        "unknown-sync", "with `all_reduce` every worker holds all variables: there is no ps",
        Label(span), help="leave out what is said of `ps`, or use `sync = sync`",
    )


def sync_needs_ps(span: Span, mode: str) -> Diagnostic:
    return Diagnostic(
        "unknown-sync", f"with `{mode}` the variables live on ps tasks", Label(span),
        help="variables over ps, or sync = all_reduce",
    )


def not_a_count(span: Span, name: str, least: int) -> Diagnostic:
    return Diagnostic(
        "out-of-range", f"`{name}` is a whole number from {least}", Label(span),
    )


def optimizer_sets_nothing(definition: t.Optimizer, used: Span) -> Diagnostic:
    return Diagnostic(
        "no-return", f"the optimizer `{definition.name.text}` gives the parameter no next value",
        Label(definition.name.span), others=(Label(used, "used here"),),
        help="end it with: next param = param - lr * grad",
    )


def schedule_result(span: Span, value: Any) -> Diagnostic:
    return Diagnostic(
        "not-scalar", f"a schedule returns one number, not {describe(value)}", Label(span),
    )
