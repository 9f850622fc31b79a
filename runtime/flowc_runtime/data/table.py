"""CSV files: the rows of a file, of one width, as a dataset."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from flowc_runtime.data.cells import Cells, is_number
from flowc_runtime.data.columns import Column, Entry, Header
from flowc_runtime.data.content import Content, open_content
from flowc_runtime.data.dataset import Dataset
from flowc_runtime.data.errors import DataError
from flowc_runtime.data.folder import Folder
from flowc_runtime.data.names import Known
from flowc_runtime.data.words import NotAvailable, Words, known_words

Row = tuple[int, list[str]]  # the line in the file, the cells


@dataclass(frozen=True)
class Form:
    """How a file is to be read; see the parameters of `csv` in sources.py."""

    columns: Sequence[Entry] | None = None
    header: bool | Sequence[str] = True
    delimiter: str = ","
    na: NotAvailable = "error"
    classes: tuple[str, ...] = ()
    words: Sequence[Column] = ()


def read_csv(
    folder: Folder, path: str, form: Form, fields: Sequence[str], wanted: Mapping[str, str],
    known: Known,
) -> Dataset:  # fmt: skip
    """One field from each entry of `form.columns`; f32, or i32 where words or classes are.

    The words of a column are numbered as they are `known` from training, or in their own order.
    """
    with open_content(folder, path) as content:
        header, rows = _header(path, _rows(content, form.delimiter), form.header)
        groups = header.groups(form.columns)
        words = Words(header, groups, form.words, form.na, known_words(groups, fields, known))
        cells = Cells(header, groups, form.na, form.classes, words)
        for line, row in rows:
            cells.add(line, row)
    return cells.dataset(fields, wanted)


def _header(
    path: str, rows: Iterator[Row], named: bool | Sequence[str]
) -> tuple[Header, Iterator[Row]]:
    """The header, and the rows of data."""
    first = next(rows, None)
    if first is None:
        raise DataError("data-empty", "is empty", path)
    line, cells = first
    if not named:
        return Header(path, len(cells), None), chain([first], rows)
    if named is not True:
        if len(named) != len(cells):
            message = f"{len(cells)} cells, but `header` has {len(named)} names"
            raise DataError("data-width", message, path, line)
        return Header(path, len(cells), tuple(named)), chain([first], rows)
    if all(map(is_number, cells)):
        message = "the first line holds numbers where the names of the columns are expected"
        raise DataError("data-value", message, path, line, "header = false")
    return Header(path, len(cells), tuple(cell.strip() for cell in cells)), rows


def _rows(content: Content, delimiter: str) -> Iterator[Row]:
    """The rows that are not blank, all as wide as the first."""
    width = None
    for line, row in _parsed(content, delimiter):
        if not row:
            continue
        if width is None:
            width = len(row)
        if len(row) != width:
            message = f"{len(row)} cells, but the first row has {width}"
            raise DataError("data-width", message, content.path, line)
        yield line, row


def _parsed(content: Content, delimiter: str) -> Iterator[Row]:
    reader = csv.reader(_lines(content), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise DataError("data-damaged", str(error), content.path, reader.line_num) from error


def _lines(content: Content) -> Iterator[str]:
    for number, line in enumerate(content.lines(), 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            message = f"byte {line[error.start]:#04x} is not UTF-8"
            raise DataError("data-value", message, content.path, number) from error
