"""What the numbers of fields stand for: learned from the training data, and kept with the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flowc_runtime.data.dataset import Dataset


@dataclass(frozen=True)
class Names:
    """`classes` and `words` of a field, as `Field` has them."""

    classes: tuple[str, ...] = ()
    words: tuple[tuple[str, ...], ...] = ()


Known = Mapping[str, Names]  # by field


def names_of(dataset: Dataset) -> dict[str, Names]:
    """The names in the dataset's fields; validation and prediction read by them."""
    return {
        field.name: Names(field.classes, field.words)
        for field in dataset.fields
        if field.classes or field.words
    }


def plain_names(known: Known) -> dict[str, Any]:
    """As values of JSON."""
    return {
        field: {"classes": list(names.classes), "words": [list(words) for words in names.words]}
        for field, names in sorted(known.items())
    }


def parse_names(body: Any) -> dict[str, Names]:
    """The inverse of `plain_names`; ValueError for anything else."""
    if not isinstance(body, dict):
        raise ValueError("names are given by field")
    return {
        str(field): Names(
            _texts(entry["classes"]), tuple(_texts(words) for words in entry["words"]))
        for field, entry in body.items()
    }


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ValueError("names are a list of texts")
    return tuple(values)
