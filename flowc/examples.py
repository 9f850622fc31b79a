"""Examples to predict from, read out of files that people have: npy, npz, JSON, CSV."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from flowc_runtime.data.errors import DataError
from flowc_runtime.types import DTYPES, TensorType

MAX_BYTES = 1 << 30  # of a file of examples


def read_examples(path: Path, inputs: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    """Arrays by input name, examples along the first axis; DataError where that cannot be."""
    if str(path) == "-":
        return _from_json(sys.stdin.read(), "stdin", inputs)
    if not path.is_file():
        raise DataError("data-missing", f"there is no file {path}")
    if path.stat().st_size > MAX_BYTES:
        raise DataError("data-limit", f"{path} has more than {MAX_BYTES:,} bytes")
    try:
        match path.suffix:
            case ".npy":
                return {_only(inputs, path): np.load(path, allow_pickle=False)}
            case ".npz":
                with np.load(path, allow_pickle=False) as arrays:
                    return {name: arrays[name] for name in arrays.files}
            case ".json":
                return _from_json(path.read_text(), str(path), inputs)
            case ".csv":
                return _from_csv(path, inputs)
    except (OSError, ValueError, EOFError, KeyError) as error:
        raise DataError("data-damaged", f"{path} cannot be read: {error}") from None
    raise DataError("data-damaged", f"{path}: examples are .npy, .npz, .json or .csv")


def _only(inputs: Mapping[str, TensorType], path: object) -> str:
    if len(inputs) != 1:
        raise DataError(
            "data-shape", f"{path} holds one array, but the model has the inputs "
            f"{', '.join(inputs)}", help="use .npz or .json, with an array for each by name",
        )
    return next(iter(inputs))


def _from_json(text: str, name: str, inputs: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    try:
        given: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError("data-damaged", f"{name} is no JSON: {error}") from None
    if not isinstance(given, dict):
        given = {_only(inputs, name): given}
    return {key: _array(value, key, name, inputs) for key, value in given.items()}


def _array(value: Any, key: str, name: str, inputs: Mapping[str, TensorType]) -> np.ndarray:
    storage = DTYPES[inputs[key].dtype].storage if key in inputs else None
    try:
        return np.asarray(value, dtype=storage)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError("data-value", f"{name}: `{key}` is no array of numbers: {error}") from None


def _from_csv(path: Path, inputs: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    """Rows of numbers; a first row that holds none is a header. Each row is one example."""
    name = _only(inputs, path)
    type_ = inputs[name]
    rows: list[list[float]] = []
    with path.open(newline="") as file:
        for number, row in enumerate(csv.reader(file), 1):
            if not row:
                continue
            try:
                rows.append([float(cell) for cell in row])
            except ValueError:
                if number > 1:
                    raise DataError(
                        "data-value", f"{path}:{number}: not all cells are numbers") from None
            if rows and len(rows[-1]) != len(rows[0]):
                raise DataError(
                    "data-width", f"{path}:{number}: {len(rows[-1])} cells, where the first row "
                    f"has {len(rows[0])}")
    shape = TensorType(type_.dtype, type_.shape[1:]).sizes
    array = np.asarray(rows, DTYPES[type_.dtype].storage)
    if rows and array[0].size != int(np.prod(shape)):
        raise DataError(
            "data-shape", f"{path}: a row has {array[0].size} numbers, but the input `{name}` is "
            f"{type_}")
    return {name: array.reshape(len(rows), *shape)}
