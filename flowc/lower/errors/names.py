"""Names: unknown, taken, unused."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flowc.diagnostic import Diagnostic, Fix, Label, nearest
from flowc.lower.scope import Binding
from flowc.source import Span
from flowc.syntax import tree as t

# What people coming from other frameworks write, and what it is called here.
ALIASES = {
    "Dense": "dense", "Linear": "dense", "linear": "dense", "fc": "dense", "Conv2d": "conv2d",
    "Conv2D": "conv2d", "ReLU": "relu", "Relu": "relu", "Softmax": "softmax", "GELU": "gelu",
    "Dropout": "dropout", "Embedding": "embedding", "LayerNorm": "layer_norm",
    "BatchNorm": "batch_norm", "BatchNorm2d": "batch_norm", "MaxPool2d": "max_pool",
    "maxpool": "max_pool", "avgpool": "avg_pool", "xent": "cross_entropy",
    "softmax_xent": "cross_entropy", "bce": "binary_cross_entropy", "concatenate": "concat",
    "cat": "concat", "astype": "cast", "Adam": "adam", "SGD": "sgd", "power": "pow",
    "float32": "f32", "float": "f32", "float64": "f64", "int32": "i32", "int64": "i64",
    "double": "f64", "long": "i64", "byte": "u8", "float16": "f16",
    "uint8": "u8", "int": "i32", "half": "f16", "bfloat16": "bf16", "gather": "lookup",
    "None": "false", "True": "true", "False": "false",
}


def suggest(name: str, known: Iterable[str], span: Span) -> tuple[str | None, Fix | None]:
    """A help line and a fix for a misspelt name."""
    names = set(known)
    alias = ALIASES.get(name)
    near = alias if alias in names else nearest(name, sorted(names))
    if near is None:
        return None, None
    return f"did you mean `{near}`?", Fix(span, near)


def unknown_name(name: t.Name, known: Iterable[str]) -> Diagnostic:
    help_, fix = suggest(name.text, known, name.span)
    return Diagnostic(
        "unknown-name", f"nothing is called `{name.text}` here", Label(name.span),
        help=help_, fix=fix,
    )


def unknown_dtype(name: t.Name) -> Diagnostic:
    from flowc_runtime.types import DTYPES

    help_, fix = suggest(name.text, DTYPES, name.span)
    return Diagnostic(
        "unknown-dtype", f"`{name.text}` is no dtype", Label(name.span),
        notes=(f"the dtypes are {', '.join(DTYPES)}",), help=help_, fix=fix,
    )


def unbound_dimension(name: t.Name, known: Iterable[str]) -> Diagnostic:
    dims = [k for k in known if not k.startswith("_")]
    help_, fix = suggest(name.text, dims, name.span)
    return Diagnostic(
        "unbound-dimension", f"the dimension `{name.text}` has no size", Label(name.span),
        help=help_ or f"give it one where it stands first: `{name.text} = 10`; "
        "only `batch` is set by the train section", fix=fix,
    )


def defined_twice(name: t.Name, before: Binding) -> Diagnostic:
    return Diagnostic(
        "duplicate-name", f"`{name.text}` is defined twice", Label(name.span),
        others=_first(before.span), help="rename one of them",
    )


def input_twice(statement: t.Input, before: Span) -> Diagnostic:
    return Diagnostic(
        "duplicate-name", f"the input `{statement.name.text}` is declared twice",
        Label(statement.span), others=(Label(before, "first here"),),
    )


def result_twice(statement: Any, key: str, before: Span) -> Diagnostic:
    what = "the loss" if key == "loss" else f"`{key.partition('.')[2]}`"
    return Diagnostic(
        "duplicate-name", f"{what} is given twice", Label(statement.span),
        others=(Label(before, "first here"),),
    )


def variable_twice(statement: Any, path: str, before: Span) -> Diagnostic:
    return Diagnostic(
        "duplicate-name", f"`{path}` is declared twice", Label(statement.span),
        others=(Label(before, "first here"),),
        help="give each parameter its own name; to share one on purpose use `layer`",
    )


def reserved_name(name: t.Name) -> Diagnostic:
    return Diagnostic(
        "reserved-name", f"an input cannot be called `{name.text}`: the runtime provides it",
        Label(name.span), help="choose another name",
    )


def unused_name(name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "unused-name", f"`{name}` is never used", Label(span), severity="warning",
        help=f"remove it, or call it `_{name}` to say that this is meant",
    )


def unused_input(name: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "unused-input", f"the input `{name}` is never used", Label(span), severity="warning",
        help="remove it from the model and from the data's fields",
    )


def no_gradient(path: str, span: Span) -> Diagnostic:
    return Diagnostic(
        "no-gradient", f"the loss does not depend on the parameter `{path}`; it will not learn",
        Label(span), severity="warning",
        help="use it in the loss, remove it, or `freeze` it",
    )


def _first(span: Span | None) -> tuple[Label, ...]:
    return (Label(span, "first here"),) if span else ()
