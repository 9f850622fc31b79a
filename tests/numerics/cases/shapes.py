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
    _of("pad with the edge", 'pad(x, [0, 2, 1], [0, 1, 3], mode = "edge")',
        lambda t, x: t.nn.functional.pad(x, (1, 3, 2, 1), mode="replicate")),
    _of("pad by reflection", 'pad(x, [0, 3, 1], [0, 1, 5], mode = "reflect")',
        lambda t, x: t.nn.functional.pad(x, (1, 5, 3, 1), mode="reflect")),
    _of("pad by wrapping", 'pad(x, [0, 4, 1], [0, 1, 6], mode = "wrap")',
        lambda t, x: t.nn.functional.pad(x, (1, 6, 4, 1), mode="circular")),
    _of("split by sizes", "a, b = split(x, [1, 3], axis = 1)\na * b",
        lambda t, x: x[:, :1] * x[:, 1:]),
    _of("slice", "slice(x, -1, 0, -2)", lambda t, x: x[..., [5, 3, 1]]),
    _of("tile", "tile(x, [2, 1, 3])", lambda t, x: x.repeat(2, 1, 3)),
    _of("flip", "flip(x, axis = 1)", lambda t, x: x.flip(1)),
    _of("roll", "roll(x, 2)", lambda t, x: x.roll(2, -1)),
    _of("roll backwards", "roll(x, -5, axis = 1)", lambda t, x: x.roll(-5, 1)),
    _of("sort", "sort(x, axis = 1)", lambda t, x: x.sort(1).values),
    _of("falling sort", "sort(x, descending = true)", lambda t, x: x.sort(descending=True).values),
    _of("top_k", "values, _ = top_k(x, 3)\nvalues", lambda t, x: x.topk(3).values),
    _of("positions of top_k", "_, places = top_k(x, 2, axis = 1)\nplaces",
        lambda t, x: x.topk(2, 1).indices.int()),
    _of("smallest of top_k", "values, _ = top_k(x, 2, axis = 0, largest = false)\nvalues",
        lambda t, x: x.topk(2, 0, largest=False).values),
    _of("lower_triangle", "lower_triangle(x)", lambda t, x: x.tril()),
    _of("lower_triangle with an offset", "lower_triangle(x, -1)", lambda t, x: x.tril(-1)),
    _of("upper_triangle", "upper_triangle(x, 2)", lambda t, x: x.triu(2)),
    Case("depth_to_space", "depth_to_space(x, 2, channels_first = true)",
         {"x": real("f32[2, 3, 2, 12]")},
         lambda t, x: t.nn.functional.pixel_shuffle(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)),
    Case("space_to_depth", "space_to_depth(x, 2, channels_first = true)",
         {"x": real("f32[2, 6, 4, 3]")},
         lambda t, x: t.nn.functional.pixel_unshuffle(
             x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)),
    Case("there and back", "depth_to_space(space_to_depth(x, 2), 2)",
         {"x": real("f32[2, 6, 4, 3]")}, lambda t, x: x),
    _of("slices", "x[1:, ::2, -1]", lambda t, x: x[1:, ::2, -1]),
    _of("slices backwards", "x[::-1, 3:0:-2]", lambda t, x: x.flip(0)[:, [3, 1]]),
)
