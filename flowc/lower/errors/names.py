"""Names: unknown, taken, unused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from flowc.diagnostic import Diagnostic, Fix, Label, nearest
from flowc.lower.errors.words import shown
from flowc.lower.scope import Binding
from flowc.source import Span
from flowc.syntax import tree as t

if TYPE_CHECKING:
    from flowc.lower.elsewhere import Elsewhere

# What people coming from other frameworks write, without capitals and `_`, and what it is here.
ALIASES = {
    "linear": "dense", "fc": "dense", "fullyconnected": "dense", "conv": "conv2d",
    "convolution2d": "conv2d", "batchnorm1d": "batch_norm", "batchnorm2d": "batch_norm",
    "batchnormalization": "batch_norm", "layernormalization": "layer_norm",
    "maxpool2d": "max_pool", "maxpooling2d": "max_pool", "avgpool2d": "avg_pool",
    "averagepooling2d": "avg_pool", "globalaveragepooling2d": "global_avg_pool",
    "xent": "cross_entropy", "softmaxxent": "cross_entropy", "crossentropyloss": "cross_entropy",
    "sparsecategoricalcrossentropy": "cross_entropy", "nllloss": "cross_entropy",
    "bce": "binary_cross_entropy", "bceloss": "binary_cross_entropy",
    "bcewithlogitsloss": "binary_cross_entropy", "mseloss": "mse", "meansquarederror": "mse",
    "smoothl1loss": "huber", "huberloss": "huber", "lstmcell": "lstm_cell", "grucell": "gru_cell",
    "multiheadattention": "attention", "selfattention": "attention", "swish": "silu",
    "concatenate": "concat", "cat": "concat", "astype": "cast", "power": "pow", "view": "reshape",
    "gather": "lookup", "takealong": "lookup_along", "takealongaxis": "lookup_along",
    "gatherelements": "lookup_along", "scatterelements": "scatter_add_along",
    "indexadd": "scatter_add", "topk": "top_k", "arctan2": "atan2", "arctan": "atan",
    "arcsin": "asin", "arccos": "acos", "tril": "lower_triangle", "triu": "upper_triangle",
    "pixelshuffle": "depth_to_space", "pixelunshuffle": "space_to_depth", "narrow": "slice",
    "bitwiseand": "bit_and", "bitwiseor": "bit_or", "bitwisexor": "bit_xor",
    "logicalxor": "xor", "isnan": "is_nan", "isinf": "is_inf", "isfinite": "is_finite",
    "groupnorm": "group_norm", "instancenorm": "instance_norm", "rmsnorm": "rms_norm",
    "bilstm": "bidirectional", "l1loss": "mae", "meanabsoluteerror": "mae",
    "kldiv": "kl_divergence", "kldivloss": "kl_divergence", "focalloss": "focal",
    "ctcloss": "ctc", "tripletmarginloss": "triplet", "ntxent": "info_nce",
    "bernoulli": "random_bernoulli", "categorical": "random_categorical",
    "multinomial": "random_categorical", "hardswish": "hard_swish", "logsigmoid": "log_sigmoid",
    "arange": "iota", "unsqueeze": "expand",
    "expanddims": "expand", "reducemean": "mean", "reducesum": "sum", "matmul": "@",
    "float": "f32", "float32": "f32", "double": "f64", "float64": "f64", "half": "f16",
    "float16": "f16", "bfloat16": "bf16", "int": "i32", "int32": "i32", "long": "i64",
    "int64": "i64", "int8": "i8", "byte": "u8", "uint8": "u8", "boolean": "bool",
    "units": "width", "outfeatures": "width", "features": "width", "dim": "width",
    "outchannels": "filters", "channels": "filters", "kernelsize": "size", "poolsize": "size",
    "strides": "stride", "usebias": "bias", "p": "rate", "droprate": "rate", "axis": "over",
    "dims": "over", "keepdims": "keep", "keepdim": "keep", "numheads": "heads",
    "learningrate": "lr", "batchsize": "batch", "epoch": "epochs", "step": "steps",
    "separator": "delimiter", "seperator": "delimiter", "sep": "delimiter",
    "numembeddings": "rows", "embeddingdim": "width", "numclasses": "classes",
}  # fmt: skip


def suggest(name: str, known: Iterable[str], span: Span) -> tuple[str | None, Fix | None]:
    """A help line and a fix for a misspelt name."""
    names = set(known)
    plain = name.replace("_", "").lower()
    near = next((k for k in (ALIASES.get(plain), ALIASES.get(name)) if k in names), None)
    near = near or nearest(name, sorted(names))
    if near is None:
        return None, None
    return f"did you mean `{near}`?", Fix(span, near)


def unknown_name(name: t.Name, known: Iterable[str], there: Elsewhere | None) -> Diagnostic:
    """`there` is where the name is bound after all."""
    if there is not None:
        return _bound_elsewhere(name, there)
    help_, fix = suggest(name.text, known, name.span)
    return Diagnostic(
        "unknown-name", f"nothing is called `{shown(name.text)}` here", Label(name.span),
        help=help_, fix=fix,
    )


def _bound_elsewhere(name: t.Name, there: Elsewhere) -> Diagnostic:
    text = shown(name.text)
    at, mark = Label(name.span), Label(there.span, f"`{text}` is bound here")
    if not _within(name.span, there.item.span) and not isinstance(there.item, t.Hyper):
        return Diagnostic(
            "unknown-name", f"`{text}` belongs to the {there.owner} and is not known here", at,
            others=(mark,),
            help="a block knows its parameters and the file's items: pass it as an argument",
        )
    if there.within is not None and not _within(name.span, there.within.span):
        return Diagnostic(
            "unknown-name", f"`{text}` is only bound inside of this `{there.word}`", at,
            others=(mark,), help=f"bind `{text}` before the `{there.word}` too"
            if there.word != "scan" else "the body gives values to the outside with `yield`",
        )
    return Diagnostic(
        "used-before-definition", f"`{text}` is used before it is defined", at,
        others=(Label(there.span, "defined here"),),
        help="a text is read from top to bottom: move the definition up",
    )


def _within(a: Span, b: Span) -> bool:
    return a.source is b.source and b.start <= a.start and a.end <= b.end


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


def no_gradient(paths: Sequence[str], span: Span) -> Diagnostic:
    others = f" and {len(paths) - 1} more" * (len(paths) > 1)
    return Diagnostic(
        "no-gradient", f"no gradient reaches the parameter `{paths[0]}`{others}: it will not learn",
        Label(span), severity="warning",
        help="use it in the loss, remove it, or `freeze` it",
    )


def _first(span: Span | None) -> tuple[Label, ...]:
    return (Label(span, "first here"),) if span else ()
