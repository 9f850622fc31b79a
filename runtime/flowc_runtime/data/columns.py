"""Which columns of a table make which field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from flowc_runtime.data.errors import DataError, did_you_mean

Column = Union[str, int]  # noqa: UP007  (the name in the header, or the index from 0)
# One column gives a scalar; a range `(first, last)`, both inclusive, or a list gives a vector.
Entry = Union[Column, tuple[Column, Column], list]  # type: ignore[type-arg]  # noqa: UP007


@dataclass(frozen=True)
class Group:
    """The columns of one field, by index; a scalar field has exactly one."""

    columns: tuple[int, ...]
    scalar: bool


@dataclass(frozen=True)
class Header:
    """The columns of the file at `path`; `names` is None where it has no header line."""

    path: str
    width: int
    names: tuple[str, ...] | None

    def label(self, column: int) -> str:
        """How messages call a column: the index as in `columns`, and the name."""
        return f"column {column}" + (f" ({self.names[column]})" if self.names else "")

    def groups(self, columns: Sequence[Entry] | None) -> tuple[Group, ...]:
        """One group an entry; by default all columns but the last, and the last."""
        if columns is not None:
            return tuple(self._group(entry) for entry in columns)
        if self.width < 2:
            message = "has one column, which cannot be split into two fields"
            raise DataError("data-width", message, self.path, 1)
        return Group(tuple(range(self.width - 1)), False), Group((self.width - 1,), True)

    def chosen(self, columns: Sequence[Column]) -> tuple[int, ...]:
        """Single columns, by index."""
        return tuple(self._index(column) for column in columns)

    def _group(self, entry: Entry) -> Group:
        if isinstance(entry, list):
            return Group(tuple(i for part in entry for i in self._indices(part)), False)
        return Group(self._indices(entry), not isinstance(entry, tuple))

    def _indices(self, entry: Entry) -> tuple[int, ...]:
        if isinstance(entry, tuple):
            first, last = (self._index(end) for end in entry)
            if first > last:
                message = f"the range {entry[0]}..{entry[1]} is empty"
                raise DataError("data-argument", message, self.path)
            return tuple(range(first, last + 1))
        if isinstance(entry, list):
            raise DataError("data-argument", "a list of columns inside a list", self.path)
        return (self._index(entry),)

    def _index(self, column: Column) -> int:
        if isinstance(column, str):
            return self._named(column)
        if not -self.width <= column < self.width:
            message = f"no column {column}; there are {self.width}, counted from 0"
            raise DataError("data-missing", message, self.path)
        return column % self.width

    def _named(self, name: str) -> int:
        if self.names is None:
            message = f"column `{name}`: the file is read without a header line"
            raise DataError("data-argument", message, self.path, help="header = true, or an index")
        if name not in self.names:
            known = list(self.names)
            help = did_you_mean(name, known) or f"it has {', '.join(known[:10])}"
            raise DataError("data-missing", f"no column `{name}`", self.path, 1, help)
        if self.names.count(name) > 1:
            message = f"two columns are called `{name}`"
            raise DataError("data-argument", message, self.path, 1, "choose by index")
        return self.names.index(name)
