"""What an op is: one value that holds all that is known about one primitive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import numpy as np

from flowc_runtime.dims import Dim
from flowc_runtime.types import TensorType

# Attributes are plain data: int, float, bool, str, Dim, and (nested) tuples of these.
Attrs = Mapping[str, Any]
Types = tuple[TensorType, ...]
Array = np.ndarray


class Reject(Exception):
    """A type rule's refusal. `operand` is the position to blame, `other` the one it clashes with.

    The message reads after the operand's name: "needs 784 rows to match f32[8, 784]".
    """

    def __init__(self, message: str, operand: int | None = None, other: int | None = None):
        super().__init__(message)
        self.message = message
        self.operand = operand
        self.other = other


class BadValue(Exception):
    """A kernel met data that it must refuse (an index out of range); the executor adds the line."""


class Value(Protocol):
    """A result of a node, as gradients see it."""

    @property
    def type(self) -> TensorType: ...


class Emit(Protocol):
    """Appends a node to the graph under construction and returns its (only) result."""

    def __call__(self, op: str, *operands: Any, **attrs: Any) -> Any: ...

    def constant(self, value: float, type: TensorType) -> Any:
        """A tensor of `type` filled with `value` (a scalar const, broadcast where needed)."""
        ...


@dataclass(frozen=True)
class Forward:
    """The node that is being differentiated: its operands and results as values."""

    operands: tuple[Any, ...]
    results: tuple[Any, ...]
    attrs: Attrs


@dataclass(frozen=True)
class Cost:
    """Work of one execution: floating-point operations and bytes read plus written."""

    flops: int
    bytes: int


@dataclass(frozen=True)
class Attr:
    """An attribute's name, what it means (for the reference), and its default if it has one."""

    name: str
    doc: str
    default: Any = None
    required: bool = True


@dataclass(frozen=True)
class Sample:
    """One concrete use: operand types, attributes, and a range from which values are drawn.

    `low`/`high` keep values inside the op's domain; integer operands are drawn from it too.
    `values` gives operands outright where a range cannot (indices that must be in bounds).
    """

    types: tuple[str, ...]
    attrs: Attrs = field(default_factory=dict)
    low: float = -1.0
    high: float = 1.0
    values: Mapping[int, Any] = field(default_factory=dict)


Infer = Callable[[Types, Attrs], Types]
Kernel = Callable[[Sequence[Array], Sequence[Array], Attrs, Array], None]
Call = Callable[[], Any]  # with everything bound
Calls = Callable[[Sequence[Array], Sequence[Array], Attrs, Array], "list[Call]"]
Gradient = Callable[[Emit, Forward, tuple[Any, ...]], "tuple[Any | None, ...]"]


def bytes_moved(types: Types, results: Types) -> int:
    return sum(t.bytes for t in (*types, *results))


def _elementwise_cost(types: Types, results: Types, attrs: Attrs) -> Cost:
    return Cost(sum(prod(r.sizes) for r in results), bytes_moved(types, results))


def _no_scratch(types: Types, results: Types, attrs: Attrs) -> int:
    return 0


@dataclass(frozen=True)
class Op:
    """A primitive of the catalog.

    - `infer` gives the result types from the operand types, or raises `Reject`.
    - `kernel(outs, ins, attrs, scratch)` is the NumPy form: it writes every element of `outs`,
      reads `ins`, allocates nothing large, and may use `scratch` (uint8, `scratch_bytes` long,
      64-byte aligned) as it likes. It is the specification of the op.
    - `calls`, where an op has it, is the kernel taken apart: what depends on the arrays alone is
      done once, and the calls that remain carry out one execution. `kernel_of` makes the kernel.
    - `gradient(emit, forward, cotangents)` gives one cotangent per operand, None where it is
      zero; a cotangent is None where nothing flows into that result. An op without `gradient`
      has no derivative.
    - `in_place` lists operands whose bytes the (first) result may take over.
    """

    name: str
    doc: str
    operands: tuple[str, ...]
    infer: Infer
    kernel: Kernel | None = None
    calls: Calls | None = None
    gradient: Gradient | None = None
    attrs: tuple[Attr, ...] = ()
    elementwise: bool = False
    variadic: bool = False
    in_place: tuple[int, ...] = ()
    cost: Callable[[Types, Types, Attrs], Cost] = _elementwise_cost
    scratch_bytes: Callable[[Types, Types, Attrs], int] = _no_scratch
    samples: tuple[Sample, ...] = ()


def kernel_of(calls: Calls) -> Kernel:
    """The kernel that an op's `calls` are a kernel of."""

    def kernel(outs: Sequence[Array], ins: Sequence[Array], attrs: Attrs, scratch: Array) -> None:
        for call in calls(outs, ins, attrs, scratch):
            call()

    return kernel


def size_of(dim: Dim) -> int:
    """An integer dimension, where a rule needs a known size."""
    if not isinstance(dim, int):
        raise Reject(f"needs a known size, not `{dim}`")
    return dim
