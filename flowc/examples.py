"""Examples to predict from, read out of files that people have: npy, npz, JSON, CSV, photos."""

from __future__ import annotations

import csv
import json
import math
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from flowc_runtime.data.arrays import read_npy, read_npz
from flowc_runtime.data.cells import is_number
from flowc_runtime.data.conversion import unfit
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
        return _from_json(sys.stdin.buffer.read(MAX_BYTES + 1), "stdin", inputs)
    if not path.is_file():
        raise DataError("data-missing", f"there is no file {path}")
    if path.suffix in (".npy", ".npz"):
        return _from_arrays(path, inputs)
    try:
        match path.suffix:
            case ".json":
                with path.open("rb") as file:
                    return _from_json(file.read(MAX_BYTES + 1), str(path), inputs)
            case ".csv":
                return _from_csv(path, inputs)
    except OSError as error:
        raise DataError("data-damaged", f"cannot be read: {error.strerror}", str(path)) from error
    raise DataError("data-damaged", f"{path}: examples are .npy, .npz, .json, .csv or images")


def _only(inputs: Mapping[str, TensorType], path: object) -> str:
    if len(inputs) != 1:
        raise DataError(
            "data-shape", f"{path} holds one array, but the model has the inputs "
            f"{', '.join(inputs)}", help="use .npz or .json, with an array for each by name",
        )
    return next(iter(inputs))


def _from_arrays(path: Path, inputs: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    """As the sources `npy` and `npz` read them: no more is unpacked than they would."""
    folder = Folder(Path.cwd(), (path.resolve().parent,))
    wanted = {name: type_.dtype for name, type_ in inputs.items()}
    if path.suffix == ".npy":
        dataset = read_npy(folder, [str(path)], [_only(inputs, path)], wanted)
    else:
        dataset = read_npz(folder, str(path), list(inputs), list(inputs), wanted)
    return _read_whole(dataset, inputs)


def _from_json(data: bytes, name: str, inputs: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    _check_bytes(len(data), name)
    try:
        given: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DataError("data-damaged", f"is no JSON: {error}", name) from None
    if not isinstance(given, dict):
        given = {_only(inputs, name): given}
    return {
        key: _array(given[key], key, name, type_)
        for key, type_ in inputs.items() if key in given
    }


def _array(value: Any, key: str, name: str, type_: TensorType) -> np.ndarray:
    try:
        found = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise DataError("data-value", f"`{key}` is no array of numbers: {error}", name) from None
    if found.size and found.dtype.kind not in "biuf":
        raise DataError("data-value", f"`{key}` is no array of numbers", name)
    wrong = _unfit(found, key, type_, name)
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        message = f"`{key}`{list(at)} is {found[at]}, which `{key}`: {type_} cannot hold"
        raise DataError("data-value", message, name)
    return found.astype(DTYPES[type_.dtype].storage)


def _unfit(numbers: np.ndarray, key: str, type_: TensorType, name: str) -> np.ndarray:
    """Where the input cannot hold what is there."""
    if type_.dtype == "bf16":
        message = f"`{key}` cannot be read as bf16"
        help = f"declare `{key}` as f32 and cast it in the model"
        raise DataError("data-type", message, name, help=help)
    return unfit(numbers, type_.dtype)


def _check_bytes(count: int, name: str) -> None:
    if count > MAX_BYTES:
        raise DataError("data-limit", f"has more than {MAX_BYTES:,} bytes", name)


def _from_csv(path: Path, inputs: Mapping[str, TensorType]) -> dict[str, np.ndarray]:
    """Rows of numbers; a first row that holds none is a header. Each row is one example."""
    name = _only(inputs, path)
    type_ = inputs[name]
    shape = TensorType(type_.dtype, type_.shape[1:]).sizes
    _check_bytes(path.stat().st_size, str(path))
    lines, table = _numbers(path)
    if table.shape[1] != math.prod(shape):
        raise DataError(
            "data-shape", f"a row has {table.shape[1]} numbers, but the input `{name}` is {type_}",
            str(path))
    wrong = _unfit(table, name, type_, str(path))
    if wrong.any():
        row, column = (int(i) for i in np.argwhere(wrong)[0])
        value = f"column {column} is {table[row, column]:.17g}"
        message = f"{value}, which `{name}` cannot hold as {type_.dtype}"
        raise DataError("data-value", message, str(path), lines[row])
    return {name: table.astype(DTYPES[type_.dtype].storage).reshape(len(table), *shape)}


def _numbers(path: Path) -> tuple[list[int], np.ndarray]:
    """The line of each row, and f64[rows, columns]."""
    lines: list[int] = []
    numbers = array("d")
    width = 0
    for line, row in _rows(path):
        try:
            cells = [float(cell) for cell in row]
        except ValueError:
            if width or any(map(is_number, row)):
                raise DataError(
                    "data-value", "not all cells are numbers", str(path), line) from None
            width = len(row)
            continue
        width = width or len(row)
        if len(row) != width:
            message = f"{len(row)} cells, where the first row has {width}"
            raise DataError("data-width", message, str(path), line)
        lines.append(line)
        numbers.extend(cells)
    if not lines:
        raise DataError("data-empty", "holds no row of numbers", str(path))
    return lines, np.frombuffer(numbers).reshape(len(lines), width)


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, with their lines."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file)
        try:
            yield from ((reader.line_num, row) for row in reader if row)
        except csv.Error as error:
            raise DataError(
                "data-damaged", f"cannot be read: {error}", str(path), reader.line_num) from None
        except UnicodeDecodeError as error:  # in what is read ahead, so the line is not known
            raise DataError("data-damaged", f"cannot be read: {error}", str(path)) from None


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
