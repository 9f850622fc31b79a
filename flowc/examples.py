"""Examples to predict from, read out of files that people have: npy, npz, JSON, CSV, photos."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.folder import Folder
from flowc_runtime.data.images import SUFFIXES, Look, photographs
from flowc_runtime.data.sources import look_of
from flowc_runtime.data.spec import DataSpec
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
    raise DataError("data-damaged", f"{path}: examples are .npy, .npz, .json, .csv or images")


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


# --- files as the data section reads them --------------------------------------------------------

RESIZING = ("resize", "center_crop")  # transforms that a photograph goes through, too


def are_photographs(paths: Sequence[Path]) -> bool:
    return all(path.suffix.lower() in SUFFIXES for path in paths)


def read_photographs(
    paths: Sequence[Path], inputs: Mapping[str, TensorType], spec: DataSpec | None
) -> dict[str, np.ndarray]:
    """The images at `paths`, [images, height, width, 3], as the data item `spec` reads its own.

    Where that item reads no image files, or its fixed transforms do not lead to the size of the
    input, they are cut and scaled to that.
    """
    name = _only(inputs, paths[0])
    type_ = inputs[name]
    sides = TensorType(type_.dtype, type_.shape[1:]).sizes
    if len(sides) != 3 or sides[2] != 3:
        raise DataError(
            "data-shape", f"{paths[0]} is an image, but the input `{name}` is {type_}",
            help="images are read as [batch, height, width, 3]")
    for path in paths:
        if not path.is_file():
            raise DataError("data-missing", f"there is no file {path}")
    photos = _photos(paths, name, type_, spec) if spec is not None else None
    if photos is None or photos.fields[0].shape != sides:
        photos = photographs(*_found(paths), name, type_.dtype, Look((sides[0], sides[1])))
    return _read_whole(photos, inputs)


def _photos(
    paths: Sequence[Path], name: str, type_: TensorType, spec: DataSpec
) -> Dataset | None:
    """The images by what of a data item's transforms is the same in every visit."""
    if spec.source != "images":
        return None
    look = replace(look_of(spec.arguments), damaged="error")  # each file gets its own answer
    photos = photographs(*_found(paths), name, type_.dtype, look)
    fixed = tuple(t for t in spec.transforms if t[0] in RESIZING)
    try:
        return replace(spec, transforms=fixed).transformed(photos)
    except DataError as error:
        if error.code == "data-shape":  # random ones would have made the sizes equal
            return None
        raise


def _found(paths: Sequence[Path]) -> tuple[Folder, list[str]]:
    """Files that the user names, wherever they lie."""
    found = [path.resolve() for path in paths]
    parents = tuple(dict.fromkeys(path.parent for path in found))
    return Folder(parents[0], parents), [str(path) for path in found]


def reads_rows(inputs: Mapping[str, TensorType], spec: DataSpec | None) -> bool:
    """Whether rows of a CSV file are to be read as a data item reads them, not as plain numbers."""
    if spec is None or spec.source != "csv" or spec.arguments["columns"] is None:
        return False
    return bool(spec.arguments["words"]) or len(inputs) > 1


def read_rows(
    path: Path, inputs: Mapping[str, TensorType], spec: DataSpec
) -> dict[str, np.ndarray]:
    """The rows of a CSV file as the data item `spec` reads its own, without the labels.

    A row where something is missing is an error, since every row is to get its answer.
    """
    worded = {field for field, names in spec.known.items() if names.words}
    if spec.arguments["words"] and not worded:
        raise DataError(
            "data-missing", "the numbers of the words are not known",
            help="name the run folder with --weights: it keeps what training has learned of them")
    columns = dict(zip(spec.fields, spec.arguments["columns"], strict=True))
    taken = {f: entry for f, entry in columns.items() if f in inputs or f in worded}
    arguments = {
        **spec.arguments, "path": path.name, "columns": list(taken.values()), "classes": None,
        "na": "error" if spec.arguments["na"] == "drop" else spec.arguments["na"],
    }
    given = replace(spec, arguments=arguments, transforms=(), fields=tuple(taken))
    parent = path.resolve().parent
    return _read_whole(given.open(parent, (parent,)), inputs)


def _read_whole(dataset: Dataset, inputs: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    arrays = {
        field.name: np.empty((len(dataset), *field.shape), DTYPES[field.dtype].storage)
        for field in dataset.fields
    }
    dataset.read(np.arange(len(dataset)), list(arrays.values()))
    return {name: array for name, array in arrays.items() if name in inputs}
