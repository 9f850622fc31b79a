"""Rules of `simplify` for arithmetic, choices and conversions, by op."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from flowc.graph.builder import Builder, Value
from flowc.graph.graph import Node, Ref
from flowc.passes.constants import Number, as_kind, const_number, node_of, number_of
from flowc_runtime.types import TensorType

Operands = tuple[Value, ...]
Rule = Callable[[Builder, Node, Operands], Value | None]

# For each dtype, those that hold all of its values.
_WIDER: Mapping[str, frozenset[str]] = {
    "bool": frozenset({"u8", "i8", "i32", "i64", "f16", "bf16", "f32", "f64"}),
    "u8": frozenset({"i32", "i64", "f16", "bf16", "f32", "f64"}),
    "i8": frozenset({"i32", "i64", "f16", "bf16", "f32", "f64"}),
    "i32": frozenset({"i64", "f64"}),
    "f16": frozenset({"f32", "f64"}),
    "bf16": frozenset({"f32", "f64"}),
    "f32": frozenset({"f64"}),
}
_LEAST_EXPONENT = {"f16": -14, "f32": -126, "f64": -1022}  # of a normal number


def _if_same(value: Value, type: TensorType) -> Value | None:
    """The value, unless the node that it replaces would also have stretched it."""
    return value if value.type == type else None


def _neutral(number: Number, position: int) -> Rule:
    """The op leaves the other operand as it is where operand `position` is `number`."""

    def rule(builder: Builder, node: Node, operands: Operands) -> Value | None:
        if number_of(builder, operands[position]) != number:
            return None
        return _if_same(operands[1 - position], node.type)

    return rule


def _negates(number: Number, position: int) -> Rule:
    """The op is a negation of the other operand where operand `position` is `number`."""

    def rule(builder: Builder, node: Node, operands: Operands) -> Value | None:
        other = operands[1 - position]
        if number_of(builder, operands[position]) != number or other.type != node.type:
            return None
        return builder("neg", other)

    return rule


def _add(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """`a + -b` is `a - b`, and `-a + b` is `b - a`."""
    for position in (1, 0):
        inner = _inside(builder, operands[position], "neg")
        if inner is not None:
            return builder("sub", operands[1 - position], inner)
    return None


def _sub(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """`a - -b` is `a + b`, and `-a - b` is `-(a + b)`."""
    inner = _inside(builder, operands[1], "neg")
    if inner is not None:
        return builder("add", operands[0], inner)
    inner = _inside(builder, operands[0], "neg")
    return None if inner is None else builder("neg", builder("add", inner, operands[1]))


def _neg_out(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """The sign of a factor is the sign of the product; outside, it may meet another one."""
    for position, value in enumerate(operands):
        inner = _inside(builder, value, "neg")
        if inner is not None:
            positive = (*operands[:position], inner, *operands[position + 1 :])
            return builder("neg", builder.emit(node.op, positive, node.attrs)[0])
    return None


def _neg_into_number(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """`-(2 * x)` is `-2 * x`."""
    source = node_of(builder, operands[0])
    if source.op not in ("mul", "div"):
        return None
    for position, ref in enumerate(source.operands):
        number = const_number(builder.nodes[ref.node]) if _is_scalar(builder, ref) else None
        if number is not None and node.type.dtype != "u8":
            factors = [builder.value(ref) for ref in source.operands]
            factors[position] = builder.scalar(-number, node.type.dtype)
            return builder(source.op, *factors)
    return None


def _is_scalar(builder: Builder, ref: Ref) -> bool:
    node = builder.nodes[ref.node]
    return node.op == "const" and not node.type.shape


def _mul_by_zero(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """Holds for integers only: a float may be infinite."""
    zero = any(number_of(builder, value) == 0 for value in operands)
    return builder.constant(0, node.type) if zero and node.type.kind == "int" else None


def _div(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """Dividing by a power of two is multiplying by another, bit for bit."""
    divisor = number_of(builder, operands[1])
    if divisor is None or not math.isfinite(divisor) or math.frexp(divisor)[0] not in (0.5, -0.5):
        return None
    if abs(math.frexp(divisor)[1]) >= -_LEAST_EXPONENT[node.type.dtype]:
        return None
    factor = builder.scalar(1.0 / divisor, node.type.dtype)
    return _stretched(builder, builder("mul", operands[0], factor), node.type)


def _pow(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """Small powers are products and roots; so the root of minus infinity becomes NaN."""
    base, exponent = operands[0], number_of(builder, operands[1])
    if base.type != node.type or exponent is None:
        return None
    if exponent == 0:
        return builder.constant(as_kind(1, node.type.kind), node.type)
    if exponent == 1:
        return base
    if exponent == 2:
        return builder("mul", base, base)
    if exponent == 3:
        return builder("mul", builder("mul", base, base), base)
    return _root(builder, base, exponent)


def _root(builder: Builder, base: Value, exponent: Number) -> Value | None:
    if base.type.kind != "float":
        return None
    if exponent == 0.5:
        return builder("sqrt", base)
    if exponent == -0.5:
        return builder("rsqrt", base)
    if exponent == -1:
        return builder("div", builder.scalar(1.0, base.type.dtype), base)
    return None


def _twice(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """The larger or smaller of a value and itself."""
    return operands[0] if operands[0].ref == operands[1].ref else None


def _inverse(op: str) -> Rule:
    """`op` undoes itself."""

    def rule(builder: Builder, node: Node, operands: Operands) -> Value | None:
        return _inside(builder, operands[0], op)

    return rule


def _neg_of_difference(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """`-(a - b)` is `b - a`."""
    source = node_of(builder, operands[0])
    if source.op != "sub":
        return None
    a, b = (builder.value(ref) for ref in source.operands)
    return builder("sub", b, a)


def _not_equal(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """Of the comparisons only these two are each other's opposite where there are NaN."""
    source = node_of(builder, operands[0])
    opposite = {"equal": "not_equal", "not_equal": "equal"}.get(source.op)
    if opposite is None:
        return None
    return builder(opposite, *(builder.value(ref) for ref in source.operands))


def _where(builder: Builder, node: Node, operands: Operands) -> Value | None:
    condition, a, b = operands
    if a.ref == b.ref:
        return _stretched(builder, a, node.type)
    known = number_of(builder, condition)
    if known is not None:
        return _stretched(builder, a if known else b, node.type)
    inner = _inside(builder, condition, "logical_not")
    return None if inner is None else builder("where", inner, b, a)


def _where_as_cast(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """A choice between 1 and 0 is the condition as a number."""
    condition = operands[0]
    chosen = number_of(builder, operands[1]), number_of(builder, operands[2])
    if condition.type.shape != node.type.shape or chosen not in ((1, 0), (0, 1)):
        return None
    truth = condition if chosen == (1, 0) else builder("logical_not", condition)
    return builder("cast", truth, dtype=node.type.dtype)


def _cast(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """A cast to the own dtype, or of a value that was widened before without a loss."""
    if operands[0].type == node.type:
        return operands[0]
    source = _inside(builder, operands[0], "cast")
    if source is None or operands[0].type.dtype not in _WIDER.get(source.type.dtype, ()):
        return None
    return source if source.type == node.type else builder("cast", source, dtype=node.type.dtype)


def _itself(builder: Builder, node: Node, operands: Operands) -> Value | None:
    """Gradients are taken before the passes, so nothing is left to stop."""
    return operands[0]


def _inside(builder: Builder, value: Value, op: str) -> Value | None:
    """The operand of the node that made `value`, if that is an `op` of one operand."""
    node = node_of(builder, value)
    return builder.value(node.operands[0]) if node.op == op else None


def _stretched(builder: Builder, value: Value, type: TensorType) -> Value:
    return value if value.type == type else builder("broadcast", value, shape=type.shape)


ARITHMETIC: Mapping[str, tuple[Rule, ...]] = {
    "add": (_neutral(0, 0), _neutral(0, 1), _add),
    "sub": (_neutral(0, 1), _negates(0, 0), _sub),
    "mul": (
        _neutral(1, 0),
        _neutral(1, 1),
        _negates(-1, 0),
        _negates(-1, 1),
        _mul_by_zero,
        _neg_out,
    ),
    "div": (_neutral(1, 1), _negates(-1, 1), _div, _neg_out),
    "pow": (_pow,),
    "maximum": (_twice,),
    "minimum": (_twice,),
    "neg": (_inverse("neg"), _neg_of_difference, _neg_into_number),
    "reduce_sum": (_neg_out,),
    "logical_not": (_inverse("logical_not"), _not_equal),
    "logical_and": (_twice, _neutral(True, 0), _neutral(True, 1)),
    "logical_or": (_twice, _neutral(False, 0), _neutral(False, 1)),
    "where": (_where, _where_as_cast),
    "cast": (_cast,),
    "stop_gradient": (_itself,),
}
