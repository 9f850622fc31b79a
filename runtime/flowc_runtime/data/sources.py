"""The catalogue of sources: what a data section may call, and how it is opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flowc_runtime.data import kinds
from flowc_runtime.data.arguments import Arguments, Parameter, rebind
from flowc_runtime.data.arrays import read_npy, read_npz
from flowc_runtime.data.cifar import read_cifar10
from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.folder import Folder
from flowc_runtime.data.idx import read_idx
from flowc_runtime.data.images import Look, read_images
from flowc_runtime.data.names import Known
from flowc_runtime.data.table import Form, read_csv
from flowc_runtime.data.text import read_text


@dataclass(frozen=True)
class Request:
    """What to open: bound arguments, where paths begin, the fields' names, their dtypes.

    `known` are the names that training has given to numbers, where it has.
    """

    arguments: Arguments
    folder: Folder
    fields: tuple[str, ...]
    wanted: Mapping[str, str]
    known: Known


@dataclass(frozen=True)
class SourceSpec:
    """A source: `count` gives how many fields a call has, None where the names decide that.

    `names` are the fields' names where the call gives none; empty where it must. `learns` says
    whether a call finds in the data what its numbers stand for, so that other data need the
    names of training.
    """

    name: str
    doc: str
    parameters: tuple[Parameter, ...]
    count: Callable[[Arguments], int | None]
    open: Callable[[Request], Dataset]
    names: tuple[str, ...] = ()
    learns: Callable[[Arguments], bool] = lambda given: False


def open_source(
    name: str,
    arguments: Arguments,
    folder: Path,
    fields: tuple[str, ...],
    wanted: Mapping[str, str],
    allow: tuple[Path, ...] = (),
    known: Known | None = None,
) -> Dataset:
    """Opens a source; the only error that data or arguments can cause is DataError.

    `arguments` are by parameter name, as `bind` gives them. `folder` is that of the .flow file,
    `wanted` the dtype of the model's input for each field, where there is one, and `allow` are
    folders outside of `folder` that the user trusts; for `known` see Request.
    """
    spec = SOURCES[name]
    bound = rebind(name, spec.parameters, arguments)
    chosen = _fields(spec, bound, fields)
    try:
        return spec.open(Request(bound, Folder(folder, allow), chosen, wanted, known or {}))
    except MemoryError as error:
        raise DataError("data-limit", f"`{name}` needs more memory than there is") from error


def _fields(spec: SourceSpec, arguments: Arguments, names: tuple[str, ...]) -> tuple[str, ...]:
    chosen = names or spec.names
    count = spec.count(arguments)
    if not chosen:
        message = f"the fields of `{spec.name}` need names: `-> (x, y)`"
        raise DataError("data-shape", message)
    if count is not None and count != len(chosen):
        message = f"`{spec.name}` gives {count} fields here, and {len(chosen)} are named"
        raise DataError("data-shape", message)
    return chosen


def _open_idx(request: Request) -> Dataset:
    return read_idx(request.folder, request.arguments["paths"], request.fields, request.wanted)


def _open_npy(request: Request) -> Dataset:
    return read_npy(request.folder, request.arguments["paths"], request.fields, request.wanted)


def _open_npz(request: Request) -> Dataset:
    keys = request.arguments["keys"] or request.fields
    path = request.arguments["path"]
    return read_npz(request.folder, path, keys, request.fields, request.wanted)


def _open_csv(request: Request) -> Dataset:
    given = request.arguments
    form = Form(
        given["columns"], given["header"], given["delimiter"], given["na"],
        tuple(given["classes"] or ()), given["words"] or (),
    )  # fmt: skip
    return read_csv(
        request.folder, given["path"], form, request.fields, request.wanted, request.known)


def _open_text(request: Request) -> Dataset:
    given = request.arguments
    return read_text(
        request.folder, given["path"], given["window"], given["stride"], given["vocabulary"],
        request.fields, request.wanted, request.known,
    )  # fmt: skip


def _open_images(request: Request) -> Dataset:
    path = request.arguments["folder"]
    look = look_of(request.arguments)
    return read_images(
        request.folder, path, look, request.fields, request.wanted, request.known)


def look_of(arguments: Arguments) -> Look:
    """How a call of `images` wants its files to be read."""
    size = arguments["size"]
    return Look(None if size is None else (size[0], size[1]), arguments["damaged"])


def _open_cifar10(request: Request) -> Dataset:
    paths = request.arguments["paths"]
    return read_cifar10(request.folder, paths, request.fields, request.wanted)


_PATH = Parameter("path", kinds.TEXT, "the file, relative to the .flow file", required=True)
_PATHS = Parameter(
    "paths", kinds.TEXT, "the files, one a field, relative to the .flow file",
    required=True, variadic=True,
)  # fmt: skip

_ALL = (
    SourceSpec(
        "idx",
        "IDX files as MNIST has them, one a field, gzip or not.",
        (_PATHS,),
        lambda given: len(given["paths"]),
        _open_idx,
    ),
    SourceSpec(
        "csv",
        "Rows of numbers from a CSV file, gzip or not; blank lines are skipped.",
        (
            _PATH,
            Parameter(
                "columns",
                kinds.COLUMNS,
                "one entry a field: a column (its name, or its index from 0) for a scalar, a "
                "range `a..b` or a list of both for a vector; without it, the last column is the "
                "last field and all others are the first",
            ),
            Parameter(
                "header",
                kinds.HEADER,
                "the first line names the columns; or their names, where no line does",
                True,
            ),
            Parameter("delimiter", kinds.CHARACTER, "what stands between the cells", ","),
            Parameter(
                "na",
                kinds.NOT_AVAILABLE,
                "what to do with a missing number (an empty cell, ?, NA, N/A, nan, null, none): "
                '"error", "drop" the row, or a number to put there; a missing word is 0 '
                "unless its row is dropped",
                "error",
            ),
            Parameter(
                "classes",
                kinds.NAMES,
                "the text labels of the last field, which becomes their number in this list",
            ),
            Parameter(
                "words",
                kinds.WORDS,
                "the columns whose cells are words or ids: each becomes its number, from 1, among "
                "the sorted distinct words of the training data; 0 is a missing or unknown one",
            ),
        ),
        lambda given: 2 if given["columns"] is None else len(given["columns"]),
        _open_csv,
        learns=lambda given: bool(given["words"]),
    ),
    SourceSpec(
        "npy",
        "NumPy arrays, one file a field, mapped into memory.",
        (_PATHS,),
        lambda given: len(given["paths"]),
        _open_npy,
    ),
    SourceSpec(
        "npz",
        "Arrays of one `.npz` file.",
        (_PATH, Parameter("keys", kinds.NAMES, "the arrays, one a field; by default the fields")),
        lambda given: None if given["keys"] is None else len(given["keys"]),
        _open_npz,
    ),
    SourceSpec(
        "text",
        "Windows of a text, and the same one token later: what a language model learns from.",
        (
            _PATH,
            Parameter("window", kinds.COUNT, "tokens in an example", 64),
            Parameter("stride", kinds.COUNT, "tokens between two windows' beginnings; `window`"),
            Parameter(
                "vocabulary",
                kinds.VOCABULARY,
                '"characters": the distinct characters of the file, in order; "bytes": 256',
                "characters",
            ),
        ),
        lambda given: 2,
        _open_text,
        ("tokens", "target"),
        lambda given: given["vocabulary"] == "characters",
    ),
    SourceSpec(
        "images",
        "Image files in one subfolder a class, decoded when they are read (needs Pillow). The "
        "classes are the folders in the order of their names.",
        (
            Parameter("folder", kinds.TEXT, "the folder of the classes' folders", required=True),
            Parameter(
                "size",
                kinds.SIZE,
                "[height, width] to cut and scale to; without it, transforms decide",
            ),
            Parameter(
                "damaged",
                kinds.DAMAGED,
                'what to do with a damaged file: "error", or "replace" it by the next sound one',
                "error",
            ),
        ),
        lambda given: 2,
        _open_images,
        ("image", "label"),
        lambda given: True,
    ),
    SourceSpec(
        "cifar10",
        "CIFAR-10's binary records, gzip or not: pictures u8[32, 32, 3] and their classes.",
        (
            Parameter(
                "paths", kinds.TEXT, "the files, one after the other, relative to the .flow file",
                required=True, variadic=True,
            ),
        ),
        lambda given: 2,
        _open_cifar10,
        ("image", "label"),
    ),
)
SOURCES: Mapping[str, SourceSpec] = {spec.name: spec for spec in _ALL}
