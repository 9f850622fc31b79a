"""Where each field of the data goes: straight into the memory of a program's input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from flowc_runtime.data.dataset import Field
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.stream import Stream
from flowc_runtime.types import DTYPES

Array = np.ndarray


def bind_inputs(data: Stream, inputs: Mapping[str, Array], batch: int) -> list[Array]:
    """One array a field of `data`, in its order, for batches of `batch` examples.

    A field that the program has no input for goes into an array of its own. Raises DataError
    where an input has no field, or one of another shape or dtype.
    """
    fields = data.dataset.fields
    known = {field.name for field in fields}
    for name in inputs:
        if name not in known:
            raise DataError(
                "data-missing",
                f"the model's input `{name}` is not in the data, which has {_listed(fields)}",
                data.dataset.origin,
            )
    return [_target(field, inputs, batch, data.dataset.origin) for field in fields]


def _target(field: Field, inputs: Mapping[str, Array], batch: int, origin: str) -> Array:
    shape, storage = (batch, *field.shape), DTYPES[field.dtype].storage
    if field.name not in inputs:
        return np.empty(shape, storage)
    found = inputs[field.name]
    if found.shape != shape or found.dtype != storage:
        code = "data-shape" if found.shape != shape else "data-type"
        raise DataError(
            code,
            f"field `{field.name}` gives {storage}{list(shape)}, the model's input is "
            f"{found.dtype}{list(found.shape)}",
            origin,
        )
    return found


def _listed(fields: Sequence[Field]) -> str:
    return ", ".join(f"`{field.name}`" for field in fields)
