"""Random numbers: their values depend on seed, path and step, never on where they are made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowc.lower import errors
from flowc.lower.arithmetic import elementwise
from flowc.lower.builtins import arguments as ask
from flowc.lower.builtins.arguments import builtin
from flowc.lower.scans import round_index
from flowc.lower.values import POISON, Arg, is_dtype
from flowc.source import Span
from flowc_runtime.ops.random import stream_of
from flowc_runtime.types import FLOATS

if TYPE_CHECKING:
    from flowc.lower.lowerer import Lowerer


def _random(op: str) -> Any:
    def run(lw: Lowerer, span: Span, shape: Arg, dtype: Arg) -> Any:
        dims = ask.shape(lw, op, shape)
        if dims is None:
            return POISON
        if not (is_dtype(dtype.value) and dtype.value in FLOATS):
            lw.report(errors.wants(op, "a float dtype", dtype))
            return POISON
        path = ".".join(["random", *lw.path, *lw.unique(lw.statement.target, op)])
        step = _step(lw, span)
        return lw.emit(op, [Arg(lw.system("seed"), span), step], span, shape=dims,
                       dtype=dtype.value, stream=stream_of(path))

    return run


def _step(lw: Lowerer, span: Span) -> Arg:
    """The step; inside a scan a number that differs from round to round as well."""
    step = Arg(lw.system("step"), span)
    for level in range(1, lw.level + 1):
        length: Any = lw.levels[level].length
        scaled = Arg(elementwise(lw, "mul", [step, Arg(length, span)], span), span)
        rounds = Arg(round_index(lw, level), span)
        step = Arg(elementwise(lw, "add", [scaled, rounds], span), span)
    return step


def _orthogonalize(lw: Lowerer, span: Span, x: Arg) -> Any:
    return lw.emit("orthogonalize", [x], span) if ask.tensor(lw, "orthogonalize", x) else POISON




FUNCTIONS = (
    builtin("random_uniform", "numbers evenly spread over [0, 1)", _random("random_uniform"),
            "shape", ("dtype", "f32")),
    builtin("random_normal", "numbers of the normal distribution, mean 0 and variance 1",
            _random("random_normal"), "shape", ("dtype", "f32")),
    builtin("orthogonalize", "the nearest frame of orthonormal rows or columns: the Q of x = QR",
            _orthogonalize, "x"),
)
