"""Operators of single elements; they keep whatever order the axes have."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np

from flowc.onnx.bench import Bench, Operand, Translate
from flowc.onnx.errors import Unsupported
from flowc.onnx.model import DTYPE_OF, Node
from flowc.onnx.text import Expr, Infix, Prefix, Word, call, is_expr
from flowc.onnx.values import Known, Order, Tensor, Value
from flowc_runtime.dims import Poly
from flowc_runtime.types import DTYPES

Build = Callable[..., Expr]

# --- operands side by side --------------------------------------------------------------------


def aligned(b: Bench, operands: Sequence[Operand]) -> tuple[list[Any], Order | None]:
    """The operands as expressions whose axes agree, and the order that these axes have."""
    if any(v is None for v in operands):
        raise Unsupported("an input is missing")
    tensors = [v for v in operands if isinstance(v, Tensor)]
    rank = max(v.rank for v in operands)
    leading = [t for t in tensors if t.rank == rank and t.order is not None]
    order = leading[0].order if leading else None
    if any(0 < t.rank < rank for t in tensors):
        order = None
    highest = max((t.rank for t in tensors), default=-1)
    return [_in_order(b, v, order, rank, v.rank <= highest) for v in operands], order


def _in_order(b: Bench, value: Operand, order: Order | None, rank: int, beside: bool) -> Any:
    """One operand; `beside` a tensor of its rank or more, a single number is written as such."""
    if isinstance(value, Tensor):
        return (value if value.rank == 0 else b.in_order(value, order)).expr
    number = literal(value) if beside else None
    if number is not None:
        return number
    if order is None:
        return b.tensor(value).expr
    whole = value.array.reshape((1,) * (rank - value.rank) + value.shape)
    moved = np.transpose(whole, order)
    lead = next((i for i, d in enumerate(moved.shape) if d != 1), moved.ndim)
    return b.constant(value, np.ascontiguousarray(moved.reshape(moved.shape[lead:])),
                      f"beside {order}").expr


def literal(value: Known) -> Any:
    """A known single number as it stands in a text; None where it cannot."""
    if value.array.size != 1:
        return None
    item = value.array.reshape(-1)[0]
    if isinstance(item, Poly):
        return item
    if value.array.dtype == object:
        return int(item)
    if value.array.dtype.kind == "f" and not math.isfinite(item):
        return None
    if value.array.dtype.kind == "f":
        return item
    return item.item() if value.array.dtype.kind in "iub" else None


# --- one operand ------------------------------------------------------------------------------


def unary(build: Build) -> Translate:
    """`build` is given the operand, then the attributes of the node."""

    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        x = b.as_it_lies(inputs[0])
        return b.bind(node, build(x, node.attrs), order=x.order)

    return translate


def named(function: str) -> Translate:
    return unary(lambda x, attrs: call(function, x.expr))


def _plus(a: Any, c: Any) -> Infix:
    return Infix("+", a, c)


def _times(a: Any, c: Any) -> Infix:
    return Infix("*", a, c)


def _elu(x: Tensor, attrs: Any) -> Expr:
    alpha = attrs.get("alpha", 1.0)
    return call("elu", x.expr) if alpha == 1 else call("elu", x.expr, alpha=alpha)


def _leaky(x: Tensor, attrs: Any) -> Expr:
    return call("leaky_relu", x.expr, attrs.get("alpha", 0.01))


def _selu(x: Tensor, attrs: Any) -> Expr:
    alpha, gamma = attrs.get("alpha", SELU[0]), attrs.get("gamma", SELU[1])
    if (np.float32(alpha), np.float32(gamma)) == tuple(np.float32(v) for v in SELU):
        return call("selu", x.expr)
    return _times(call("elu", x.expr, alpha=alpha), gamma)


SELU = (1.67326319217681884765625, 1.05070102214813232421875)


def _celu(x: Tensor, attrs: Any) -> Expr:
    return call("celu", x.expr, attrs.get("alpha", 1.0))


def _hard_sigmoid(x: Tensor, attrs: Any) -> Expr:
    slope, shift = attrs.get("alpha", 0.2), attrs.get("beta", 0.5)
    settings = {} if shift == 0.5 else {"shift": shift}
    if np.float32(slope) != np.float32(1 / 6):
        settings["slope"] = slope
    return call("hard_sigmoid", x.expr, **settings)


def _thresholded(x: Tensor, attrs: Any) -> Expr:
    return call("where", Infix(">", x.expr, attrs.get("alpha", 1.0)), x.expr, 0)


def _shrink(x: Tensor, attrs: Any) -> Expr:
    edge, bias = attrs.get("lambd", 0.5), attrs.get("bias", 0.0)
    below = call("where", Infix("<", x.expr, -edge), Infix("+", x.expr, bias), 0)
    return call("where", Infix(">", x.expr, edge), Infix("-", x.expr, bias), below)


def _gelu(x: Tensor, attrs: Any) -> Expr:
    if attrs.get("approximate", "none") == "tanh":
        return call("gelu", x.expr)
    return call("gelu", x.expr, exact=True)


def _swish(x: Tensor, attrs: Any) -> Expr:
    alpha = attrs.get("alpha", 1.0)
    return call("silu", x.expr) if alpha == 1 else _times(
        x.expr, call("sigmoid", _times(x.expr, alpha)))


def _is_inf(x: Tensor, attrs: Any) -> Expr:
    if attrs.get("detect_positive", 1) and attrs.get("detect_negative", 1):
        return call("is_inf", x.expr)
    sign: list[Expr] = []
    if attrs.get("detect_positive", 1):
        sign.append(Infix(">", x.expr, 3.4028235e38))
    if attrs.get("detect_negative", 1):
        sign.append(Infix("<", x.expr, -3.4028235e38))
    if not sign:
        return call("fill", list(x.type.shape), False, Word("bool"))
    return sign[0]


UNARY: dict[str, Translate] = {
    **{op: named(function) for op, function in {
        "Abs": "abs", "Sign": "sign", "Exp": "exp", "Log": "log", "Sqrt": "sqrt", "Sin": "sin",
        "Cos": "cos", "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan",
        "Sinh": "sinh", "Cosh": "cosh", "Tanh": "tanh", "Asinh": "asinh", "Acosh": "acosh",
        "Atanh": "atanh", "Erf": "erf", "Floor": "floor", "Ceil": "ceil", "Round": "round",
        "Sigmoid": "sigmoid", "Softplus": "softplus", "Softsign": "softsign", "Relu": "relu",
        "HardSwish": "hard_swish", "Mish": "mish", "IsNaN": "is_nan", "Reciprocal": "reciprocal",
        "BitwiseNot": "bit_not",
    }.items()},
    **{op: unary(build) for op, build in {
        "Elu": _elu, "LeakyRelu": _leaky, "Selu": _selu, "Celu": _celu,
        "HardSigmoid": _hard_sigmoid, "ThresholdedRelu": _thresholded, "Shrink": _shrink,
        "Gelu": _gelu, "Swish": _swish, "IsInf": _is_inf,
        "Neg": lambda x, attrs: Prefix("-", x.expr),
        "Not": lambda x, attrs: Prefix("not", x.expr),
    }.items()},
}  # fmt: skip


# --- two and more -----------------------------------------------------------------------------


def infix(op: str) -> Translate:
    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        (left, right), order = aligned(b, inputs)
        return b.bind(node, Infix(op, left, right), order=order)

    return translate


def named_pair(function: str) -> Translate:
    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        (left, right), order = aligned(b, inputs)
        return b.bind(node, call(function, left, right), order=order)

    return translate


def _is_float(operand: Operand) -> bool:
    return DTYPES[operand.dtype].kind == "float"


def divide(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """Whole numbers are divided towards zero; the language's own `//` goes down."""
    (left, right), order = aligned(b, inputs)
    if _is_float(inputs[0]):
        return b.bind(node, Infix("/", left, right), order=order)
    size = Infix("//", call("abs", left), call("abs", right))
    sign = _times(call("sign", left), call("sign", right))
    return b.bind(node, _times(sign, size), order=order)


def modulo(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    (left, right), order = aligned(b, inputs)
    if not node.attrs.get("fmod", 0):
        return b.bind(node, Infix("%", left, right), order=order)
    rest = Infix("%", call("abs", left), call("abs", right))
    return b.bind(node, _times(call("sign", left), rest), order=order)


def power(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    base, exponent = inputs
    if isinstance(exponent, Known):
        squared = literal(exponent) == 2 and exponent.rank <= base.rank
        if squared and isinstance(base, Tensor):
            return b.bind(node, call("square", base.expr), order=base.order)
        if _is_float(base) and not _is_float(exponent):
            exponent = Known(exponent.array.astype(np.float32), exponent.wish)
    (left, right), order = aligned(b, [base, exponent])
    if base.dtype == exponent.dtype and _is_float(base):
        return b.bind(node, Infix("^", left, right), order=order)
    both = [v if isinstance(v, float) or e.dtype == "f32" else call("cast", v, Word("f32"))
            for v, e in ((left, base), (right, exponent))]  # fmt: skip
    made: Expr = Infix("^", *both)
    made = made if base.dtype == "f32" else call("cast", made, Word(base.dtype))
    return b.bind(node, made, order=order)


def clip(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    x = b.as_it_lies(inputs[0])
    bounds = [*inputs[1:], None, None][:2]
    for i, name in enumerate(("min", "max")):
        if name in node.attrs:
            bounds[i] = Known(np.array(node.attrs[name], np.float32))
    low, high = (_bound(b, bound) for bound in bounds)
    if low is not None and high is not None:
        return b.bind(node, call("clip", x.expr, low, high), order=x.order)
    value: Expr = x.expr
    value = value if low is None else call("max", value, low)
    value = value if high is None else call("min", value, high)
    return x if value == x.expr else b.bind(node, value, order=x.order)


def _bound(b: Bench, bound: Operand) -> Any:
    if bound is None:
        return None
    if isinstance(bound, Known):
        value = literal(bound)
        if value is None:
            return None  # infinite: no bound
        limits = np.finfo(bound.array.dtype) if bound.array.dtype.kind == "f" else np.iinfo(
            bound.array.dtype)
        return None if value in (limits.max, limits.min) else value
    return call("reshape", bound.expr, []) if bound.rank else bound.expr


def cast_to(b: Bench, node: Node, x: Operand, dtype: str) -> Tensor:
    tensor = b.as_it_lies(x)
    if tensor.dtype == dtype:
        return tensor
    if dtype == "bool":
        return b.bind(node, Infix("!=", tensor.expr, 0), order=tensor.order)
    return b.bind(node, call("cast", tensor.expr, Word(dtype)), order=tensor.order)


def cast(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    dtype = DTYPE_OF.get(node.attrs.get("to", 1))
    if dtype is None:
        raise Unsupported("it casts to a dtype that flowc has not")
    return cast_to(b, node, inputs[0], dtype)


def cast_like(b: Bench, node: Node, inputs: list[Operand]) -> Value:
    x = inputs[0]
    if isinstance(x, Known) and not x.is_open:
        return Known(x.array.astype(DTYPES[inputs[1].dtype].storage), x.wish)
    return cast_to(b, node, inputs[0], inputs[1].dtype)


def where(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    (condition, yes, no), order = aligned(b, inputs)
    if not any(isinstance(v, Tensor) for v in inputs[1:]):
        yes = yes if is_expr(yes) else call("fill", [], yes, Word(inputs[1].dtype))
    return b.bind(node, call("where", condition, yes, no), order=order)


def chained(combine: Callable[[Any, Any], Expr]) -> Translate:
    def translate(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
        exprs, order = aligned(b, inputs)
        return b.bind(node, reduce(combine, exprs), order=order)

    return translate


def mean(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    exprs, order = aligned(b, inputs)
    return b.bind(node, Infix("/", reduce(_plus, exprs), len(exprs)), order=order)


def prelu(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    (x, slope), order = aligned(b, inputs)
    return b.bind(node, call("where", Infix("<", x, 0), _times(x, slope), x), order=order)


def bit_shift(b: Bench, node: Node, inputs: list[Operand]) -> Tensor:
    """By products with powers of two, or divisions, in two steps so that no power overflows.

    Shifted by its width or more, or backwards, an integer has nothing left but its sign.
    """
    (value, by), order = aligned(b, [b.tensor(v) for v in inputs])
    dtype, bits = inputs[0].dtype, 8 * DTYPES[inputs[0].dtype].bytes
    powers = b.desk.variable(
        f"{b.wish(node)}_powers", np.left_shift(1, np.arange(33, dtype=np.int64)), learns=False)
    held = call("clip", by, 0, bits - 1)
    first = b.desk.bind(f"{b.wish(node)}_half", Infix("//", held, 2))
    sign = "*" if node.attrs.get("direction") == "LEFT" else "//"
    moved: Expr = call("cast", value, Word("i64"))
    for part in (first.expr, Infix("-", held, first.expr)):
        moved = Infix(sign, moved, call("lookup", powers.expr, part))
    made = moved if dtype == "i64" else call("cast", moved, Word(dtype))
    inside = Infix("and", Infix(">=", by, 0), Infix("<", by, bits))
    left = call("fill", [], 0, Word(dtype))
    rest: Expr = left if sign == "*" else call("where", Infix("<", value, 0), -1, left)
    return b.bind(node, call("where", inside, made, rest), order=order)


IN_ANY_ORDER: dict[str, Translate] = {
    "BitShift": bit_shift,
    **UNARY,
    **{op: infix(sign) for op, sign in {
        "Add": "+", "Sub": "-", "Mul": "*", "Equal": "==", "Less": "<", "LessOrEqual": "<=",
        "Greater": ">", "GreaterOrEqual": ">=", "And": "and", "Or": "or", "Xor": "!=",
    }.items()},
    "Div": divide, "Mod": modulo, "Pow": power, "Clip": clip, "Cast": cast,
    "BitwiseAnd": named_pair("bit_and"), "BitwiseOr": named_pair("bit_or"),
    "BitwiseXor": named_pair("bit_xor"), "Where": where, "PRelu": prelu, "Mean": mean,
    "Max": chained(lambda a, c: call("max", a, c)),
    "Min": chained(lambda a, c: call("min", a, c)),
    "Sum": chained(_plus),
}  # fmt: skip
IN_ANY_FORM: dict[str, Translate] = {"CastLike": cast_like}
