"""Functions that arrange elements in another way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numerics.case import Case, real

X = {"x": real("f32[3, 4, 6]")}
AB = {"a": real("f32[2, 3]"), "b": real("f32[2, 3]")}


def _of(name: str, flow: str, torch: Callable[[Any, Any], Any]) -> Case:
    return Case(name, flow, X, lambda t, x: torch(t, x))


CASES = (
    _of("reshape", "reshape(x, [6, -1])", lambda t, x: x.reshape(6, -1)),
    _of("transpose", "transpose(x, 0, 2)", lambda t, x: x.transpose(0, 2)),
    _of("permute", "permute(x, [2, 0, 1])", lambda t, x: x.permute(2, 0, 1)),
    _of("broadcast", "broadcast(x, [2, 3, 4, 6])", lambda t, x: x.expand(2, 3, 4, 6)),
    _of("expand and squeeze", "squeeze(expand(x, 1) * 2, 1)", lambda t, x: x * 2),
    _of("flatten", "flatten(x)", lambda t, x: x.flatten(1)),
    _of("split", "a, b, c = split(x, 3)\na * b + c", lambda t, x: (
        x[..., :2] * x[..., 2:4] + x[..., 4:])),
    Case("concat", "concat([a, b, a], axis = 0)", AB, lambda t, a, b: t.cat([a, b, a])),
    Case("stack", "stack([a, b], axis = 1)", AB, lambda t, a, b: t.stack([a, b], 1)),
    _of("pad", "pad(x, [0, 1, 2], [1, 0, 3], value = 1.5)",
        lambda t, x: t.nn.functional.pad(x, (2, 3, 1, 0, 0, 1), value=1.5)),
    _of("slices", "x[1:, ::2, -1]", lambda t, x: x[1:, ::2, -1]),
    _of("slices backwards", "x[::-1, 3:0:-2]", lambda t, x: x.flip(0)[:, [3, 1]]),
)
