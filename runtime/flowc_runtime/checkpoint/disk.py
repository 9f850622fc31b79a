"""The few system calls that saving is made of, and what is built from them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

TEMPORARY = re.compile(r"(?P<name>.+)\.tmp-\d+(?P<replaced>-replaced)?")


class Disk:
    """System calls that change the disk. A test puts one in its place that fails or dies."""

    def mkdir(self, path: Path) -> None:
        os.mkdir(path)

    def create(self, path: Path) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(path, flags, 0o644)

    def open_directory(self, path: Path) -> int:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def write(self, file: int, data: memoryview) -> int:
        return os.write(file, data)

    def sync(self, file: int) -> None:
        os.fsync(file)

    def close(self, file: int) -> None:
        os.close(file)

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def unlink(self, path: Path) -> None:
        os.unlink(path)

    def rmdir(self, path: Path) -> None:
        os.rmdir(path)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A file's size in bytes and the sha256 of its bytes, in hexadecimal."""

    size: int
    sha256: str


def write_file(disk: Disk, path: Path, chunks: Iterable[memoryview]) -> FileRecord:
    """Write `chunks` (of bytes) to a new file and wait until the disk has it."""
    digest = sha256()
    size = 0
    file = disk.create(path)
    try:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            _write_all(disk, file, chunk)
        disk.sync(file)
    finally:
        disk.close(file)
    return FileRecord(size, digest.hexdigest())


def replace_file(disk: Disk, path: Path, chunks: Iterable[memoryview]) -> FileRecord:
    """Write a file so that `path` is, at any moment, wholly the old one or wholly the new."""
    temporary = temporary_name(path)
    try:
        record = write_file(disk, temporary, chunks)
        disk.rename(temporary, path)
        sync_directory(disk, path.parent)
    except OSError:
        with suppress(OSError):
            disk.unlink(temporary)
        raise
    return record


def replace_text(disk: Disk, path: Path, text: str) -> FileRecord:
    return replace_file(disk, path, [memoryview(text.encode())])


def sync_directory(disk: Disk, directory: Path) -> None:
    """Wait until the names in `directory` are on the disk."""
    file = disk.open_directory(directory)
    try:
        disk.sync(file)
    finally:
        disk.close(file)


def remove_tree(disk: Disk, directory: Path) -> None:
    with os.scandir(directory) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            remove_tree(disk, Path(entry.path))
        else:
            disk.unlink(Path(entry.path))
    disk.rmdir(directory)


def remove_temporaries(disk: Disk, directory: Path) -> None:
    """Remove what saves that never finished have left in `directory`.

    The caller holds the run's lock: no other process saves here, whatever the process number
    in a name says (numbers are used again, and in a container always start at 1).
    """
    for path in sorted(directory.iterdir()):
        if not TEMPORARY.fullmatch(path.name):
            continue
        if path.is_dir() and not path.is_symlink():
            remove_tree(disk, path)
        else:
            disk.unlink(path)


def put_back_replaced(disk: Disk, directory: Path) -> None:
    """Undo a replacement that died between its two renames: the old one is whole."""
    for path in sorted(directory.iterdir()):
        match = TEMPORARY.fullmatch(path.name)
        if match and match["replaced"] and not path.with_name(match["name"]).exists():
            disk.rename(path, path.with_name(match["name"]))


def make_directory(disk: Disk, directory: Path) -> None:
    """Make `directory` and the missing ones above it, and wait until the disk has their names."""
    if directory.is_dir():
        return
    make_directory(disk, directory.parent)
    with suppress(FileExistsError):  # another process was faster
        disk.mkdir(directory)
    sync_directory(disk, directory.parent)


def temporary_name(path: Path, suffix: str = "") -> Path:
    return path.with_name(f"{path.name}.tmp-{os.getpid()}{suffix}")


def _write_all(disk: Disk, file: int, data: memoryview) -> None:
    while data:
        data = data[disk.write(file, data) :]
