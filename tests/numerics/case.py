"""A case: a piece of `.flow` text, its operands by seed, and the same computation in PyTorch."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from flowc_runtime.types import TensorType, parse_type


@dataclass(frozen=True)
class Operand:
    """A tensor whose values are drawn by seed: evenly between bounds, or one of `values`."""

    type: TensorType
    low: float = -2.0
    high: float = 2.0
    values: tuple[Any, ...] = ()

    @property
    def differentiable(self) -> bool:
        return self.type.kind == "float"

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        sizes, storage = self.type.sizes, self.type.storage
        if self.values:
            return np.array(rng.choice(self.values, sizes), storage)
        if self.type.kind == "float":
            return np.array(rng.uniform(self.low, self.high, sizes), storage)
        return np.array(rng.integers(int(self.low), int(self.high), sizes, endpoint=True), storage)


def real(type: str, low: float = -2.0, high: float = 2.0) -> Operand:
    """Floats between two bounds: `real("f32[3, 5]")`."""
    return Operand(parse_type(type), low, high)


def whole(type: str, low: int, high: int) -> Operand:
    """Integers from `low` to `high`, both included."""
    return Operand(parse_type(type), low, high)


def truth(shape: str) -> Operand:
    """Truth values: `truth("[3, 5]")`."""
    return Operand(parse_type(f"bool{shape}"), 0, 1)


def one_of(type: str, *values: Any) -> Operand:
    """Each element one of some values, where special ones matter (ties, infinities)."""
    return Operand(parse_type(type), values=values)


@dataclass(frozen=True)
class Case:
    """One agreement to be checked.

    `flow` are statements whose last line is an expression, the result. Operands are parameters of
    the model if they are floats, and inputs otherwise. `torch` gets the module, and the operands
    and the parameters of layers by name, dots as underscores (`y.weight` is `y_weight`: the result
    is called `y`); everything is f64 there. The gradients are those of the sum of the result times
    the cosines of 0, 1, 2, ..., so that each element has a weight of its own.

    `training` chooses the branch of `if training`. With `each`, every element has to agree to that
    share of itself: for results that are small, or of many magnitudes.
    """

    name: str
    flow: str
    operands: Mapping[str, Operand]
    torch: Callable[..., Any]
    training: bool = True
    each: float | None = field(default=None, kw_only=True)
    helpers: str = field(default="", kw_only=True)  # blocks that the text needs

    def __str__(self) -> str:
        return self.name

    @property
    def text(self) -> str:
        """The whole model."""
        lines = [f"{'param' if o.differentiable else 'input'} {name}: {o.type}"
                 + (" = zeros" if o.differentiable else "") for name, o in self.operands.items()]
        *statements, result = self.flow.strip().splitlines()
        lines += [line.strip() for line in statements]
        lines += [f"y = {result.strip()}", "output y = y"]
        body = "".join(f"  {line}\n" for line in lines)
        return f"{self.helpers}\nmodel numerics {{\n{body}}}\n"

    def draw(self, name: str, operand: Operand, seed: int) -> np.ndarray:
        key = zlib.crc32(f"{self.name}/{name}".encode())
        return operand.draw(np.random.default_rng([seed, key]))
