"""Reductions over axes, positions of extremes, running sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numerics.case import Case, one_of, real, truth, whole

X = {"x": real("f32[3, 4, 5]")}
TIES = {"x": one_of("f32[6, 5]", 0.0, 1.0, 2.0)}

WHOLE = {"x": whole("i64[6, 9]", -(2**40), 2**40)}
INF = float("inf")
KINDS = (0.0, -0.0, 1.5, -1.5, 1e-40, INF, -INF, float("nan"), 3e38)


def _of(name: str, flow: str, torch: Callable[[Any, Any], Any], operands: Any = None) -> Case:
    return Case(name, flow, operands or X, lambda t, x: torch(t, x))


CASES = (
    _of("sum", "sum(x)", lambda t, x: x.sum()),
    _of("sum over two axes", "sum(x, over = [0, 2])", lambda t, x: x.sum((0, 2))),
    _of("sum that keeps its axis", "x * sum(x, over = 1, keep = true)",
        lambda t, x: x * x.sum(1, keepdim=True)),
    _of("prod", "prod(x, over = -1)", lambda t, x: x.prod(-1)),
    _of("prod with zeros", "prod(x, over = -1)", lambda t, x: x.prod(-1), TIES),
    _of("max", "max(x, over = [1, 2])", lambda t, x: x.amax((1, 2))),
    _of("max with ties", "max(x, over = -1)", lambda t, x: x.amax(-1), TIES),
    _of("min", "min(x, over = 0)", lambda t, x: x.amin(0)),
    _of("min with ties", "min(x, over = 0)", lambda t, x: x.amin(0), TIES),
    _of("mean", "mean(x, over = [0, 1])", lambda t, x: x.mean((0, 1))),
    _of("mean of truth values", "mean(x)", lambda t, x: x.double().mean(), {"x": truth("[9]")}),
    _of("any", "any(x, over = 1)", lambda t, x: x.any(1), {"x": truth("[9, 3]")}),
    _of("all", "all(x, over = 1)", lambda t, x: x.all(1), {"x": truth("[9, 3]")}),
    _of("sum of integers", "sum(x, over = 0)", lambda t, x: x.sum(0), WHOLE),
    _of("max of integers", "max(x, over = 0)", lambda t, x: x.amax(0), WHOLE),
    _of("cumsum of integers", "cumsum(x)", lambda t, x: x.cumsum(-1), WHOLE),
    _of("sort of integers", "sort(x, descending = true)",
        lambda t, x: x.sort(descending=True).values, WHOLE),
    _of("sum of wide floats", "sum(x, over = -1)", lambda t, x: x.sum(-1),
        {"x": real("f64[3, 9]")}),
    _of("norm of zeros", "norm(x, over = -1)", lambda t, x: x.norm(dim=-1),
        {"x": one_of("f32[3, 5]", 0.0)}),
    _of("norm of zeros in half precision", "norm(x, over = -1)", lambda t, x: x.norm(dim=-1),
        {"x": one_of("f16[3, 5]", 0.0)}),
    _of("norm of what is no number", "is_nan(norm(x, over = -1))",
        lambda t, x: x.norm(dim=-1).isnan(), {"x": one_of("f32[5, 2]", 1.0, INF, float("nan"))}),
    _of("argmax", "argmax(x)", lambda t, x: x.argmax(-1).int()),
    _of("argmax at ties", "argmax(x, 0)", lambda t, x: x.sort(
        dim=0, descending=True, stable=True).indices[0].int(), TIES),
    _of("argmin", "argmin(x, axis = 1)", lambda t, x: x.argmin(1).int()),
    _of("cumsum", "cumsum(x, axis = 1)", lambda t, x: x.cumsum(1)),
    _of("cumsum in reverse", "cumsum(x, axis = 0, reverse = true)",
        lambda t, x: x.flip(0).cumsum(0).flip(0)),
    _of("exclusive cumsum", "cumsum(x, axis = 1, exclusive = true)",
        lambda t, x: x.cumsum(1) - x),
    _of("exclusive cumsum in reverse", "cumsum(x, reverse = true, exclusive = true)",
        lambda t, x: x.flip(-1).cumsum(-1).flip(-1) - x),
    _of("argsort", "argsort(x, axis = 1)", lambda t, x: x.argsort(1).int()),
    _of("argsort at ties", "argsort(x, 0)",
        lambda t, x: x.sort(dim=0, stable=True).indices.int(), TIES),
    _of("falling argsort at ties", "argsort(x, 0, descending = true)",
        lambda t, x: x.sort(dim=0, stable=True, descending=True).indices.int(), TIES),
    _of("argsort of all kinds of floats", "argsort(x)", lambda t, x: x.sort(
        stable=True).indices.int(), {"x": one_of("f32[4, 40]", *KINDS)}),
    _of("argsort of wide floats", "argsort(x, descending = true)", lambda t, x: x.sort(
        stable=True, descending=True).indices.int(), {"x": one_of("f64[4, 40]", *KINDS)}),
    _of("moments", "mu, var = moments(x, over = [0, 1])\nmu * var",
        lambda t, x: x.mean((0, 1)) * x.var((0, 1), correction=0)),
    _of("logsumexp", "logsumexp(x)", lambda t, x: x.logsumexp(-1)),
    _of("logsumexp over two axes", "logsumexp(x, over = [0, 2], keep = true)",
        lambda t, x: x.logsumexp((0, 2), keepdim=True)),
    _of("normalize zeros in half precision", "normalize(x)", lambda t, x: x * 1e4,
        {"x": one_of("f16[1]", 0.0)}),
    _of("normalize small numbers in half precision", "stop_gradient(normalize(x))",
        lambda t, x: t.nn.functional.normalize(x.detach(), dim=-1),
        {"x": one_of("f16[3, 4]", 2.0**-14)}),
    _of("normalize", "normalize(x)", lambda t, x: t.nn.functional.normalize(x, dim=-1)),
    _of("logsumexp of large numbers", "logsumexp(x)", lambda t, x: x.logsumexp(-1),
        {"x": real("f32[3, 5]", 9000, 9001)}),
    _of("norm", "norm(x, over = -1)", lambda t, x: x.norm(dim=-1)),
)
