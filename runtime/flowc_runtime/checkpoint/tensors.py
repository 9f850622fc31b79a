"""Tensors to and from the bytes of a safetensors file."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize

from flowc_runtime.checkpoint.errors import CheckpointError, Damaged
from flowc_runtime.plan import Variable
from flowc_runtime.types import DTYPES, TensorType

Array = np.ndarray
NAMES = {dtype: dtype.upper() for dtype in DTYPES}  # as safetensors spells them
DTYPE_OF = {name: dtype for dtype, name in NAMES.items()}
HEADER_ALIGNMENT_BYTES = 8


def encode(variables: Sequence[Variable], values: Mapping[str, Array]) -> Iterator[memoryview]:
    """The file's bytes, piece by piece, straight from the tensors' own memory.

    Written here and not by the library, because that wants every tensor as a copy at once.
    """
    ordered = sorted(variables, key=lambda v: (-v.type.storage.itemsize, v.path))
    yield memoryview(_header(ordered))
    for variable in ordered:
        yield tensor_bytes(values[variable.path])


def decode(data: bytes) -> dict[str, Array]:
    """The tensors of a file, as writable arrays (bf16 as uint16, as everywhere in flowc).

    Raises Damaged where `data` is no safetensors file, and CheckpointError `weights-dtype`
    for a dtype that flowc does not have.
    """
    try:
        entries = deserialize(data)  # type: ignore[no-untyped-call]
    except SafetensorError as error:
        raise Damaged(str(error).removeprefix("Error while deserializing: ")) from None
    return {name: _array(name, entry) for name, entry in entries}


def read_tensors(path: Path) -> dict[str, Array]:
    """The tensors of the safetensors file at `path`; CheckpointError where it is not one."""
    try:
        return decode(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError("checkpoint-none", f"there is no file {path}") from None
    except OSError as error:
        raise CheckpointError("checkpoint-damaged", f"{path}: {error.strerror}") from None
    except Damaged as reason:
        raise CheckpointError(
            "checkpoint-damaged", f"{path} is no sound safetensors file: {reason}"
        ) from None


def type_of(value: Array) -> TensorType:
    """The type of a stored array; uint16 is how bf16 is held."""
    for name, info in DTYPES.items():
        if info.storage == value.dtype:
            return TensorType(name, value.shape)
    raise ValueError(f"no tensor type is held as {value.dtype}")


def tensor_bytes(value: Array) -> memoryview:
    """The little-endian bytes of a tensor, outermost dimension first; a view where possible."""
    little = np.ascontiguousarray(value, dtype=value.dtype.newbyteorder("<"))
    return little.reshape(-1).view(np.uint8).data


def _header(variables: Sequence[Variable]) -> bytes:
    entries: dict[str, object] = {}
    offset = 0
    for variable in variables:
        end = offset + variable.type.bytes
        entries[variable.path] = {
            "dtype": NAMES[variable.type.dtype],
            "shape": list(variable.type.sizes),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % HEADER_ALIGNMENT_BYTES)
    return struct.pack("<Q", len(text)) + text


def _array(name: str, entry: Mapping[str, object]) -> Array:
    spelled, shape, data = entry["dtype"], entry["shape"], entry["data"]
    if spelled not in DTYPE_OF:
        raise CheckpointError(
            "weights-dtype",
            f"tensor `{name}` is {spelled}, which flowc has no type for",
            help=f"convert it to one of {', '.join(DTYPES)}",
        )
    assert isinstance(spelled, str) and isinstance(shape, list) and isinstance(data, bytearray)
    storage = DTYPES[DTYPE_OF[spelled]].storage
    if storage == np.bool_:  # a byte that is neither 0 nor 1 must not become a NumPy bool
        return np.frombuffer(data, np.uint8).reshape(shape).astype(bool)
    little = np.frombuffer(data, storage.newbyteorder("<"), count=math.prod(shape))
    return little.astype(storage, copy=False).reshape(shape)
