"""What a model's inputs are: as the file declares them, and as is said from outside."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from flowc.onnx.errors import OnnxError
from flowc.onnx.model import Declared
from flowc.onnx.values import Known, Tensor, Value
from flowc_runtime.dims import Dim, symbol
from flowc_runtime.types import DTYPES, TensorType

MAX_GIVEN = 64  # elements of an input that can be fixed
Size = int | str  # a number, or the word `batch`


@dataclass(frozen=True)
class Wishes:
    """What is said about a model from outside: sizes of inputs, and inputs that are fixed."""

    shapes: Mapping[str, tuple[Size, ...]] = field(default_factory=dict)
    values: Mapping[str, np.ndarray] = field(default_factory=dict)


def inputs_of(
    declared: Sequence[Declared], used: Collection[str], wishes: Wishes
) -> dict[str, Known | TensorType]:
    """The inputs that are used or fixed: each a value, or the type that it has in the text.

    Raises OnnxError, for sizes that are not known with all of them.
    """
    _check_names(declared, wishes)
    batch = _batch_names(declared, wishes)
    found: dict[str, Known | TensorType] = {}
    open_sizes: list[str] = []
    for item in declared:
        if item.name in wishes.values:
            found[item.name] = _value(item, wishes.values[item.name])
            continue
        if item.name not in used:
            continue
        if item.dtype is None:
            raise OnnxError("onnx-unsupported",
                            f"the input `{item.name}` is no tensor of a dtype that flowc has")
        shape = _shape(item, wishes.shapes.get(item.name), batch)
        if shape is None:
            open_sizes.append(_said(item))
            continue
        if 0 in shape:
            raise OnnxError("onnx-value", f"the input `{item.name}` has no elements",
                            help=f"--value {item.name}=", wanted=(item.name,))
        found[item.name] = TensorType(item.dtype, shape)
    if open_sizes:
        raise OnnxError(
            "onnx-shape", f"sizes of inputs are not known: {'; '.join(open_sizes)}",
            help="give all of them: --shape input=batch,3,224,224",
        )
    return found


def _check_names(declared: Sequence[Declared], wishes: Wishes) -> None:
    known = [item.name for item in declared]
    for name in (*wishes.shapes, *wishes.values):
        if name not in known:
            has = ", ".join(f"`{n}`" for n in known) or "none"
            raise OnnxError("onnx-shape", f"the model has no input `{name}`; it has {has}")


def _batch_names(declared: Sequence[Declared], wishes: Wishes) -> set[str]:
    """The names of open first sizes: all of them are the batch."""
    names = {item.shape[0] for item in declared
             if item.shape and isinstance(item.shape[0], str) and item.name not in wishes.shapes}
    for item in declared:  # what a wish calls the batch is the batch everywhere
        wish = wishes.shapes.get(item.name, ())
        names |= {said for said, given in zip(item.shape or (), wish, strict=False)
                  if given == "batch" and isinstance(said, str)}
    return {name for name in names if isinstance(name, str)}


def _shape(
    item: Declared, wish: tuple[Size, ...] | None, batch: set[str]
) -> tuple[Dim, ...] | None:
    """The sizes of an input; None where some are open that are not the batch."""
    if wish is not None:
        if item.shape is not None and len(wish) != len(item.shape):
            raise OnnxError("onnx-shape", f"the input `{item.name}` has {len(item.shape)} sizes, "
                            f"but --shape gives {len(wish)}")
        for said, given in zip(item.shape or (), wish, strict=False):
            if isinstance(said, int) and given != said:
                raise OnnxError("onnx-shape", f"the input `{item.name}` has the size {said} where "
                                f"--shape gives {given}")
        return tuple(symbol("batch") if s == "batch" else int(s) for s in wish)
    if item.shape is None:
        return None
    dims: list[Dim] = []
    for i, size in enumerate(item.shape):
        if isinstance(size, int):
            dims.append(size)
        elif size in batch or i == 0:
            dims.append(symbol("batch"))
        else:
            return None
    return tuple(dims)


def _said(item: Declared) -> str:
    if item.shape is None:
        return f"`{item.name}` of no declared shape"
    return f"`{item.name}` [{', '.join('?' if s is None else str(s) for s in item.shape)}]"


def _value(item: Declared, value: np.ndarray) -> Known:
    """A fixed input in the dtype and, as far as that can be meant, the shape of its declaration."""
    if item.dtype is not None:
        value = value.astype(DTYPES[item.dtype].storage)
    shape = item.shape
    if shape is not None and len(shape) != value.ndim:
        sizes = [s for s in shape if isinstance(s, int)]
        if len(sizes) == len(shape) and math.prod(sizes) == value.size:
            value = value.reshape(sizes)
        else:
            raise OnnxError("onnx-value", f"the input `{item.name}` has {len(shape)} axes, but "
                            f"--value gives {value.ndim}")
    return Known(value, item.name)


def can_be_given(value: Value | None) -> bool:
    """Whether an input is of a kind that a flag of the command line could give."""
    size = value.type.size if isinstance(value, Tensor) and value.rank <= 1 else None
    return isinstance(size, int) and size <= MAX_GIVEN
