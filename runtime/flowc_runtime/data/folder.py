"""The one way to open data files: below the project's folder, regular files, no races."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from flowc_runtime.data.errors import DataError, did_you_mean

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_NAMES_LISTED = 10_000  # enough for a did-you-mean


@dataclass(frozen=True)
class Found:
    """Where a path really lies: below `root`, by `parts` that hold no `..` and no link."""

    root: str
    parts: tuple[str, ...]
    trusted: bool  # the user allowed this root by name


@dataclass(frozen=True)
class Folder:
    """The folder of the .flow file, and further roots that the user allows.

    A path is resolved, checked against the roots, and then opened from the root one component
    at a time without following links: a link that is put there in between is refused.
    """

    path: Path
    allow: tuple[Path, ...] = ()

    def open(self, text: str) -> BinaryIO:
        """The regular file at `text`, for reading; raises DataError."""
        found = self._find(text)
        with self._parent(found, text) as parent:
            return self._regular(found, parent, text)

    def entries(self, text: str) -> tuple[tuple[str, bool], ...]:
        """(name, is a folder) of everything in the folder `text`, by name; raises DataError."""
        found = self._find(text)
        with self._parent(found, text) as parent, self._blaming(found, text):
            handle = os.open(found.parts[-1] if found.parts else ".", _DIRECTORY, dir_fd=parent)
            try:
                with os.scandir(handle) as listing:
                    return tuple(sorted((entry.name, entry.is_dir()) for entry in listing))
            finally:
                os.close(handle)

    def _find(self, text: str) -> Found:
        _check_form(text)
        try:
            target = os.path.realpath(self.path / text)
        except OSError as error:  # a link that was swapped for something else just now
            raise DataError("data-outside", "changes while it is looked at", text) from error
        project = () if os.path.isabs(text) else ((self.path, False),)
        for root, trusted in (*((root, True) for root in self.allow), *project):
            real = os.path.realpath(root)
            if os.path.commonpath([real, target]) == real:
                parts = Path(target).relative_to(real).parts
                return Found(real, parts, trusted)
        raise DataError(
            "data-outside",
            "the path leaves the project's folder",
            text,
            help=f"--allow-path {os.path.dirname(target)} if you trust it",
        )

    @contextmanager
    def _parent(self, found: Found, text: str) -> Iterator[int]:
        """The folder that holds the last part, as a descriptor."""
        with self._blaming(found, text):
            handle = os.open(found.root, _DIRECTORY)
            try:
                for part in found.parts[:-1]:
                    inner = os.open(part, _DIRECTORY, dir_fd=handle)
                    os.close(handle)
                    handle = inner
            except OSError:
                os.close(handle)
                raise
        try:
            yield handle
        finally:
            os.close(handle)

    def _regular(self, found: Found, parent: int, text: str) -> BinaryIO:
        name = found.parts[-1] if found.parts else "."
        with self._blaming(found, text):
            # Looked at before it is opened, because opening a device may already act on it.
            _check_regular(os.stat(name, dir_fd=parent, follow_symlinks=False), found, text)
            handle = os.open(name, _FILE, dir_fd=parent)
        file = os.fdopen(handle, "rb")
        try:
            _check_regular(os.fstat(handle), found, text)
        except DataError:
            file.close()
            raise
        return file

    @contextmanager
    def _blaming(self, found: Found, text: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise self._missing(found, text) from error
        except OSError as error:
            if error.errno == errno.ELOOP:
                raise DataError("data-outside", "a link that leads nowhere safe", text) from error
            reason = error.strerror or "unknown error"
            raise DataError("data-missing", f"cannot be opened: {reason}", text) from error

    def _missing(self, found: Found, text: str) -> DataError:
        """Names the folder that was looked in, and the nearest name in it."""
        below, wanted = found.root, ""
        for wanted in found.parts:
            if not os.path.exists(os.path.join(below, wanted)):
                break
            below = os.path.join(below, wanted)
        shown = os.path.relpath(below, os.path.realpath(self.path))
        prefix = "" if shown == "." else shown + os.sep
        help = did_you_mean(wanted, _names(below), prefix)
        message = f"not found; looked in {below} (paths are relative to the .flow file)"
        return DataError("data-missing", message, text, help=help)


def _names(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as listing:
            return [entry.name for entry, _ in zip(listing, range(_NAMES_LISTED), strict=False)]
    except OSError:
        return []


def _check_form(text: str) -> None:
    if not text:
        raise DataError("data-missing", "the path is empty", '""')
    if "\0" in text:
        raise DataError("data-outside", "the path holds a NUL byte", ascii(text))
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:  # half of a surrogate pair
        raise DataError("data-missing", "no file can have this name", ascii(text)) from error
    if _SCHEME.match(text):
        raise DataError(
            "data-outside",
            "an address, not a file",
            text,
            help="data is read from files only; download it first (`flowc data get`)",
        )
    if text.startswith("~"):
        raise DataError("data-outside", "`~` is not expanded", text, help="write the path out")


def _check_regular(status: os.stat_result, found: Found, text: str) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise DataError("data-missing", "is a folder; a file is needed here", text)
    if not stat.S_ISREG(status.st_mode):
        raise DataError("data-outside", "is no regular file", text)
    if status.st_nlink > 1 and not found.trusted:
        # A hard link is a way out of the folder that no resolving of paths can see.
        raise DataError(
            "data-outside",
            "is a hard link; its other name may lie outside the project",
            text,
            help=f"copy the file, or --allow-path {found.root} if you trust it",
        )
