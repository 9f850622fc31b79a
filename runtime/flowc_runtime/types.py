"""Tensor types: a dtype and a shape of dimensions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from flowc_runtime.dims import Dim, bind, names, parse_dim, product


@dataclass(frozen=True, slots=True)
class DTypeInfo:
    """What is known of a dtype: the NumPy storage, its bytes, and its kind.

    `bf16` is a storage type: it is held as the upper half of an f32 in a `uint16`, may be
    moved, reshaped and cast, and takes part in no arithmetic.
    """

    storage: np.dtype
    bytes: int
    kind: str  # "float", "int" or "bool"


DTYPES: dict[str, DTypeInfo] = {
    "f64": DTypeInfo(np.dtype(np.float64), 8, "float"),
    "f32": DTypeInfo(np.dtype(np.float32), 4, "float"),
    "f16": DTypeInfo(np.dtype(np.float16), 2, "float"),
    "bf16": DTypeInfo(np.dtype(np.uint16), 2, "float"),
    "i64": DTypeInfo(np.dtype(np.int64), 8, "int"),
    "i32": DTypeInfo(np.dtype(np.int32), 4, "int"),
    "i8": DTypeInfo(np.dtype(np.int8), 1, "int"),
    "u8": DTypeInfo(np.dtype(np.uint8), 1, "int"),
    "bool": DTypeInfo(np.dtype(np.bool_), 1, "bool"),
}
FLOATS = ("f64", "f32", "f16")  # the dtypes that arithmetic, and so gradients, exist for


@dataclass(frozen=True, slots=True)
class TensorType:
    """`f32[batch, 784]`: the dtype by name, the shape outermost dimension first."""

    dtype: str
    shape: tuple[Dim, ...] = ()

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> Dim:
        """The number of elements."""
        return product(self.shape)

    @property
    def storage(self) -> np.dtype:
        return DTYPES[self.dtype].storage

    @property
    def kind(self) -> str:
        return DTYPES[self.dtype].kind

    @property
    def sizes(self) -> tuple[int, ...]:
        """The shape as integers; a symbolic dimension is a bug of the caller."""
        for dim in self.shape:  # the compiler asks some hundred thousand times: no generator
            if not isinstance(dim, int):
                raise ValueError(f"{self} has dimensions that are not bound")
        return self.shape  # type: ignore[return-value]

    @property
    def bytes(self) -> int:
        """Bytes of a bound tensor."""
        total = DTYPES[self.dtype].bytes
        for dim in self.sizes:
            total *= dim
        return total

    @property
    def symbols(self) -> frozenset[str]:
        return frozenset().union(*(names(dim) for dim in self.shape))

    def bound(self, sizes: Mapping[str, int]) -> TensorType:
        return TensorType(self.dtype, tuple(bind(dim, sizes) for dim in self.shape))

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


_TYPE_TEXT = re.compile(r"(\w+)\[([^\]]*)\]")


def parse_type(text: str) -> TensorType:
    """The inverse of `str(TensorType)`; raises ValueError on anything else."""
    match = _TYPE_TEXT.fullmatch(text.strip())
    if match is None or match[1] not in DTYPES:
        raise ValueError(f"`{text}` is no tensor type")
    dims = tuple(parse_dim(part) for part in match[2].split(",") if part.strip())
    return TensorType(match[1], dims)
