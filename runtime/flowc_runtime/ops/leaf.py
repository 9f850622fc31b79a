"""Leaves of the graph: values that no kernel computes; their types are given, not inferred."""

from __future__ import annotations

from flowc_runtime.ops.op import Attr, Attrs, Op, Reject, Types


def _given(types: Types, attrs: Attrs) -> Types:
    raise Reject("has a type that is given, not inferred")


INPUT = Op(
    "input",
    "A tensor that the caller supplies at every step: an `input` of the model, or one of the "
    "system's own, `seed` and `step` (both `i64[]`).",
    operands=(),
    infer=_given,
    attrs=(Attr("name", "the input's name"),),
)

VARIABLE = Op(
    "variable",
    "A tensor that outlives the step: a parameter, a state of the model, or a slot of the "
    "optimiser. Its value is the one from before the step.",
    operands=(),
    infer=_given,
    attrs=(
        Attr("path", "the names that it lies under, joined by dots"),
        Attr("kind", "`param`, `state` (kept, no gradient) or `slot` (an optimiser's)"),
    ),
)

CONST = Op(
    "const",
    "A tensor that is known when the model is compiled.",
    operands=(),
    infer=_given,
    attrs=(Attr("value", "a number, a truth value, or nested tuples of them"),),
)

DIM = Op(
    "dim",
    "The size of a named dimension, such as `batch`, as a scalar.",
    operands=(),
    infer=_given,
    attrs=(Attr("value", "the dimension"),),
)

OPS = (INPUT, VARIABLE, CONST, DIM)
