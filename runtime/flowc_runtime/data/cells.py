"""The cells of a table: numbers, missing values and class labels, each blamed by line."""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from flowc_runtime.data.columns import Group, Header
from flowc_runtime.data.conversion import unfit
from flowc_runtime.data.dataset import Arrays, Dataset, Field
from flowc_runtime.data.errors import DataError, did_you_mean
from flowc_runtime.data.words import MISSING, Incomplete, NotAvailable, Words
from flowc_runtime.types import DTYPES

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_SHOWN = 40  # characters of a bad cell


def is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell.strip()) is not None


class Cells:
    """Collects the chosen columns of row after row, and makes the fields of them."""

    def __init__(
        self, header: Header, groups: tuple[Group, ...], na: NotAvailable,
        classes: tuple[str, ...], words: Words,
    ):  # fmt: skip
        if classes and not groups[-1].scalar:
            message = "`classes` needs one column as the last field"
            raise DataError("data-argument", message, header.path)
        self._header = header
        self._groups = groups
        self._na = na
        self._classes = {name: number for number, name in enumerate(classes)}
        self._words = words
        chosen = [column for group in groups for column in group.columns]
        self._label = chosen.pop() if classes else None
        self._columns = [column for column in chosen if column not in words]
        self._pick = _picker(self._columns)
        # The chosen columns of each row: numbers, words, the class.
        self._values = array("d")
        self._lines = array("q")

    def add(self, line: int, row: list[str]) -> None:
        """Takes one row; raises `data-value` with the line and the column."""
        try:
            values = self._numbers(line, row)
            self._words.check(row)
            label = [] if self._label is None else [self._class(line, self._label, row)]
        except Incomplete:
            return
        # Last, since the words of a row that is left out are not to be known.
        self._values.extend((*values, *self._words.numbers(row), *label))
        self._lines.append(line)

    def dataset(self, names: Sequence[str], wanted: Mapping[str, str]) -> Dataset:
        """The fields of all rows taken; raises `data-empty`, `data-type` and `data-value`."""
        if not self._lines:
            raise DataError("data-empty", "holds no row of data", self._header.path)
        table = np.frombuffer(self._values).reshape(len(self._lines), -1)
        self._words.settle(table[:, len(self._columns) :])
        fields, arrays = [], []
        for name, group in zip(names, self._groups, strict=True):
            classes = tuple(self._classes) if group is self._groups[-1] else ()
            words = self._words.of(group)
            dtype = wanted.get(name, "i32" if classes or words else "f32")
            part = table[:, [-1] if classes else list(map(self._position, group.columns))]
            self._check_fits(part, dtype, name, group)
            part = part.astype(DTYPES[dtype].storage)
            arrays.append(part[:, 0].copy() if group.scalar else part)
            fields.append(Field(name, dtype, arrays[-1].shape[1:], classes, words))
        return Arrays(self._header.path, tuple(fields), arrays)

    def _position(self, column: int) -> int:
        """Where a column's values stand in `_values`."""
        if column in self._words:
            return len(self._columns) + self._words.columns.index(column)
        return self._columns.index(column)

    def _numbers(self, line: int, row: list[str]) -> list[float]:
        cells = self._pick(row)
        try:
            values = list(map(float, cells))
        except ValueError:
            values = [math.nan]
        # `float` also takes 1_000, nan and inf: what is not plain goes through the slow path.
        if math.isfinite(sum(values)) and "_" not in "".join(cells):
            return values
        return [self._number(line, column, row[column].strip()) for column in self._columns]

    def _number(self, line: int, column: int, cell: str) -> float:
        if _NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
            return float(cell)
        if cell.lower() in MISSING:
            return self._missing(line, column, cell)
        hint = "`columns` chooses, `words` numbers words, `classes` names text labels"
        help = None if _NUMBER.fullmatch(cell) else hint
        raise self._bad(line, column, f'is "{cell[:_SHOWN]}", expected a number', help)

    def _missing(self, line: int, column: int, cell: str) -> float:
        if self._na == "drop":
            raise Incomplete
        if self._na == "error":
            help = 'na = "drop" leaves such rows out, na = 0 puts a number there'
            raise self._bad(line, column, f'is "{cell}", expected a number', help)
        return self._na

    def _class(self, line: int, column: int, row: Sequence[str]) -> float:
        cell = row[column].strip()
        number = self._classes.get(cell)
        if number is not None:
            return number
        if cell.lower() in MISSING and self._na == "drop":
            raise Incomplete
        known = list(self._classes)
        help = did_you_mean(cell, known) or f"the classes are {', '.join(known[:10])}"
        raise self._bad(line, column, f'is "{cell[:_SHOWN]}", which is no class', help)

    def _check_fits(self, part: np.ndarray, dtype: str, name: str, group: Group) -> None:
        if dtype == "bf16":
            message = f"field `{name}` cannot be read as bf16"
            help = f"declare `{name}` as f32 and cast it in the model"
            raise DataError("data-type", message, self._header.path, help=help)
        wrong = unfit(part, dtype)
        if wrong.any():
            row, column = (int(i) for i in np.argwhere(wrong)[0])
            value = f"{part[row, column]:.17g}"
            message = f"is {value}, which `{name}` cannot hold as {dtype}"
            raise self._bad(self._lines[row], group.columns[column], message, None)

    def _bad(self, line: int, column: int, message: str, help: str | None) -> DataError:
        label = self._header.label(column)
        return DataError("data-value", f"{label} {message}", self._header.path, line, help)


def _picker(columns: list[int]) -> Callable[[list[str]], Sequence[str]]:
    first, last = (columns[0], columns[-1]) if columns else (0, -1)
    if columns == list(range(first, last + 1)):
        return lambda row: row[first : last + 1]
    return lambda row: [row[column] for column in columns]
