"""What a value of the ONNX model is while its text is being written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from flowc.onnx.errors import Unsupported
from flowc.onnx.text import Name
from flowc_runtime.dims import Dim, Poly
from flowc_runtime.types import DTYPES, TensorType

Order = tuple[int, ...]  # for each axis of the tensor in the text, the axis that ONNX has there


@dataclass(frozen=True)
class Tensor:
    """A value of a step: what it is called in the text, its type there, and its axes.

    `order` is None where the axes are as in ONNX. Images in the text have their channels last,
    and stay so until somebody asks for ONNX's order.
    """

    name: str
    type: TensorType
    order: Order | None = None

    @property
    def expr(self) -> Name:
        return Name(self.name)

    @property
    def shape(self) -> tuple[Dim, ...]:
        """The shape as ONNX sees it."""
        return tuple(self.type.shape[self.place(axis)] for axis in range(self.rank))

    @property
    def axes(self) -> Order:
        """The axis of ONNX at each place of the text."""
        return self.order or tuple(range(self.rank))

    def place(self, axis: int) -> int:
        """Where the text has an axis of ONNX."""
        return axis if self.order is None else self.order.index(axis)

    @property
    def rank(self) -> int:
        return self.type.rank

    @property
    def dtype(self) -> str:
        return self.type.dtype


@dataclass
class Known:
    """A value known while importing. An object array holds sizes, some of them open."""

    array: np.ndarray
    wish: str = ""
    variables: dict[Any, Tensor] = field(default_factory=dict)  # its forms in the text so far

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def rank(self) -> int:
        return int(self.array.ndim)

    @property
    def dtype(self) -> str:
        return dtype_of(self.array)

    @property
    def is_open(self) -> bool:
        """Whether it holds sizes that are only known with the batch."""
        return self.array.dtype == object


class Lost:
    """What a node would have made that has no translation; nobody complains twice."""


LOST = Lost()
Value: TypeAlias = "Tensor | Known | Lost"


def order_of(axes: Sequence[int]) -> Order | None:
    """Axes as the `order` of a Tensor: None where they are as in ONNX."""
    return None if list(axes) == list(range(len(axes))) else tuple(axes)


def order_without(order: Order | None, gone: Collection[int]) -> Order | None:
    """The order that is left when axes (of ONNX) are taken out."""
    if order is None:
        return None
    left = [a for a in order if a not in gone]
    return order_of([sorted(left).index(a) for a in left])


def axis_last(rank: int, axis: int) -> Order | None:
    return order_of([*(a for a in range(rank) if a != axis), axis])


def channels_last(rank: int) -> Order | None:
    """The order of images in the text; with no space between, channels are last in ONNX too."""
    return axis_last(rank, 1) if rank > 2 else None


def fixed(size: Dim) -> int:
    """A size that is plain, and not open. Raises Unsupported."""
    if isinstance(size, Poly):
        raise Unsupported("a size that depends on the batch")
    return size


def dtype_of(array: np.ndarray) -> str:
    """flowc's dtype of an array; an object array holds sizes, which are i64. KeyError: none."""
    if array.dtype == object:
        return "i64"
    for name, info in DTYPES.items():
        if info.storage == array.dtype and name != "bf16":
            return name
    raise KeyError(str(array.dtype))


def sizes(dims: tuple[Dim, ...]) -> np.ndarray:
    """A shape as a value: plain numbers where all sizes are known."""
    if any(isinstance(d, Poly) for d in dims):
        array = np.empty(len(dims), object)
        array[:] = dims
        return array
    return np.array([int(d) for d in dims if isinstance(d, int)], np.int64)


def settled(array: np.ndarray) -> np.ndarray:
    """An array of sizes as plain numbers, if none of them is open."""
    if array.dtype != object or any(isinstance(d, Poly) for d in array.flat):
        return array
    return array.astype(np.int64)
