"""Columns whose cells are words: each word becomes a number of its column's vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Union

import numpy as np

from flowc_runtime.data.columns import Column, Group, Header
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.names import Known

NotAvailable = Union[Literal["error", "drop"], float]  # noqa: UP007
MISSING = ("", "?", "na", "n/a", "nan", "null", "none")  # compared in lower case
_DIGITS = 16  # longer ones are no numbers but names
NO_WORD = 0  # the number of a missing word, and of one that training has not seen


class Incomplete(Exception):
    """The row lacks a value, and such rows are to be left out."""


class Words:
    """The vocabularies of the columns `chosen`, by column; those in `trained` are closed."""

    def __init__(
        self, header: Header, groups: Sequence[Group], chosen: Sequence[Column], na: NotAvailable,
        trained: dict[int, tuple[str, ...]],
    ):  # fmt: skip
        self.columns = list(dict.fromkeys(header.chosen(chosen)))
        self._trained = trained
        self._drop = na == "drop"
        # Open vocabularies are numbered as their words come, and put in order at the end.
        self._numbers = {
            column: {word: n for n, word in enumerate(trained.get(column, ()), NO_WORD + 1)}
            for column in self.columns
        }
        _check_used(header, groups, self.columns)

    def __contains__(self, column: object) -> bool:
        return column in self._numbers

    def check(self, row: Sequence[str]) -> None:
        """Raises Incomplete where a row lacks a word, and such rows are to be left out."""
        if self._drop and any(_is_missing(row[column]) for column in self.columns):
            raise Incomplete

    def numbers(self, row: Sequence[str]) -> list[float]:
        """The numbers of a row's words, in the order of `columns`; new words are taken in."""
        return [self._number(column, row[column].strip()) for column in self.columns]

    def settle(self, table: np.ndarray) -> None:
        """Gives the words in `table` ([rows, columns]) the numbers that their order says."""
        for place, column in enumerate(self.columns):
            if column in self._trained:
                continue
            met = self._numbers[column]
            ordered = sorted(met, key=_by_number)
            self._numbers[column] = {word: n for n, word in enumerate(ordered, NO_WORD + 1)}
            final = np.zeros(len(met) + 1)
            for word, number in met.items():
                final[number] = self._numbers[column][word]
            table[:, place] = final[table[:, place].astype(np.int64)]

    def of(self, group: Group) -> tuple[tuple[str, ...], ...]:
        """The vocabulary of each column of a group; nothing where it has no words."""
        if not any(column in self for column in group.columns):
            return ()
        return tuple(tuple(self._numbers[column]) for column in group.columns)

    def _number(self, column: int, cell: str) -> float:
        if _is_missing(cell):
            return NO_WORD
        known = self._numbers[column]
        if column in self._trained:
            return known.get(cell, NO_WORD)
        return known.setdefault(cell, len(known) + 1)


def known_words(
    groups: Sequence[Group], fields: Sequence[str], known: Known
) -> dict[int, tuple[str, ...]]:
    """The vocabularies from training, by column."""
    return {
        column: words
        for group, field in zip(groups, fields, strict=True)
        if field in known
        for column, words in zip(group.columns, known[field].words, strict=False)
    }


def _check_used(header: Header, groups: Sequence[Group], columns: Sequence[int]) -> None:
    """Every column of words is in a field, and with words only."""
    for group in groups:
        inside = [column for column in group.columns if column in columns]
        if inside and len(inside) < len(group.columns):
            other = next(c for c in group.columns if c not in columns)
            message = (
                f"{header.label(inside[0])} has words and {header.label(other)} numbers, "
                "which cannot be in one field"
            )
            raise DataError("data-argument", message, header.path)
    used = {column for group in groups for column in group.columns}
    for column in columns:
        if column not in used:
            message = f"{header.label(column)} has words, but is in no field"
            raise DataError("data-argument", message, header.path)


def _is_missing(cell: str) -> bool:
    return cell.strip().lower() in MISSING


def _by_number(word: str) -> tuple[float, str]:
    """Whole numbers by their size, other words after them by the alphabet."""
    number = word.isascii() and word.isdigit() and len(word) < _DIGITS
    return (int(word) if number else float("inf"), word)
