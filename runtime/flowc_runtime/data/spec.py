"""A data item as plain data: what another process needs to open the same examples."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from flowc_runtime.data.dataset import OPEN, Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.names import Known, parse_names, plain_names
from flowc_runtime.data.sources import SOURCES, open_source
from flowc_runtime.data.transform import TRANSFORMS, apply_transform
from flowc_runtime.types import DTYPES

SAMPLED = 16  # examples whose bytes stand for a data set's content


@dataclass(frozen=True)
class DataSpec:
    """A source with its arguments, the transforms in order, and what its fields are to be."""

    source: str
    arguments: Mapping[str, Any]
    transforms: tuple[tuple[str, Mapping[str, Any]], ...]
    fields: tuple[str, ...]
    wanted: Mapping[str, str]  # dtype by field
    known: Known = field(default_factory=dict)  # what training has called the numbers

    @property
    def learns(self) -> bool:
        """Whether training finds in the data what numbers stand for: words, classes."""
        return SOURCES[self.source].learns(self.arguments)

    def open(self, folder: Path, allow: tuple[Path, ...]) -> Dataset:
        """The examples; DataError where they are not there or not as asked for."""
        return self.transformed(
            open_source(
                self.source, self.arguments, folder, self.fields, self.wanted, allow, self.known))

    def transformed(self, dataset: Dataset) -> Dataset:
        """The transforms applied; DataError, also where pictures stay of many sizes."""
        for place, (name, arguments) in enumerate(self.transforms):
            dataset = apply_transform(name, dataset, arguments, place)
        for part in dataset.fields:
            if OPEN in part.shape:
                raise DataError(
                    "data-shape",
                    f"the pictures of `{part.name}` are of different sizes",
                    dataset.origin,
                    help="`|> resize(256) |> center_crop(224)`, or `|> resize([224, 224])`",
                )
        return dataset


def write_spec(spec: DataSpec) -> str:
    """As JSON."""
    return json.dumps(
        {
            "source": spec.source,
            "arguments": _plain(spec.arguments),
            "transforms": [[name, _plain(arguments)] for name, arguments in spec.transforms],
            "fields": list(spec.fields),
            "wanted": dict(spec.wanted),
            "known": plain_names(spec.known),
        },
        sort_keys=True,
    )


def read_spec(text: str) -> DataSpec:
    """The inverse of `write_spec`; DataError for anything else, so a peer's text does no harm."""
    try:
        body = json.loads(text)
        spec = DataSpec(
            _known(body["source"], SOURCES),
            _arguments(body["arguments"]),
            tuple((_known(n, TRANSFORMS), _arguments(a)) for n, a in body["transforms"]),
            tuple(map(str, body["fields"])),
            {str(name): _known(dtype, DTYPES) for name, dtype in body["wanted"].items()},
            parse_names(body["known"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError("data-argument", f"this describes no data: {error!r}") from None
    return spec


def content_sha256(dataset: Dataset) -> str:
    """A hash over the fields, the length, and some examples spread over the whole."""
    digest = hashlib.sha256(f"{len(dataset)}\n".encode())
    places = np.unique(np.linspace(0, len(dataset) - 1, SAMPLED).astype(np.int64))
    arrays = [
        np.empty((len(places), *part.shape), DTYPES[part.dtype].storage)
        for part in dataset.fields
    ]
    dataset.read(places, arrays)
    for part, array in zip(dataset.fields, arrays, strict=True):
        digest.update(f"{part.name} {part.dtype} {part.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _known(name: Any, known: Mapping[str, Any]) -> str:
    if name not in known:
        raise ValueError(f"{name!r} is not known")
    return str(name)


def _plain(value: Any) -> Any:
    """As JSON, which has no tuples: `0..9` is `{"tuple": [0, 9]}`."""
    match value:
        case Mapping():
            return {str(name): _plain(entry) for name, entry in value.items()}
        case tuple():
            return {"tuple": [_plain(entry) for entry in value]}
        case list():
            return [_plain(entry) for entry in value]
    return value


def _arguments(body: Any) -> dict[str, Any]:
    return {str(name): _frozen(value) for name, value in body.items()}


def _frozen(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(map(_frozen, value["tuple"]))
    return list(map(_frozen, value)) if isinstance(value, list) else value
