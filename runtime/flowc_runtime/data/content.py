"""A data file's bytes: gzip is recognised by content, and what it unpacks to is bounded."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import IO, BinaryIO, cast

import numpy as np

from flowc_runtime.data.errors import DataError, damage, megabytes
from flowc_runtime.data.folder import Folder

_GZIP_MAGIC = b"\x1f\x8b"
_DEFLATE_RATIO = 1032  # deflate cannot do better than that, so a larger claim is a lie
_SENSIBLE_RATIO = 100  # real data stays far below; more, and much of it, is a bomb
_HARMLESS_BYTES = 64 << 20  # below that nobody asks for the ratio
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Content:
    """An open data file. `size` is its length on disk, `stream` gives the unpacked bytes."""

    path: str
    stream: IO[bytes]
    size: int
    packed: bool

    def check_claim(self, count: int) -> None:
        """Refuses `count` bytes that a header declares, before memory is taken for them."""
        if self.packed:
            check_packed(self.path, self.size, count)
        elif count > self.size:
            message = f"its header declares {megabytes(count)}, the file has {megabytes(self.size)}"
            raise DataError("data-damaged", message, self.path)

    @property
    def most_bytes(self) -> int:
        """The most that may be unpacked where no header tells a size."""
        return max(self.size * _SENSIBLE_RATIO, _HARMLESS_BYTES) if self.packed else self.size

    def read_exactly(self, count: int) -> bytes:
        """The next `count` bytes; `data-damaged` where the file ends before."""
        with damage(self.path, OSError, zlib.error):
            data = self.stream.read(count)
            if len(data) < count:
                raise EOFError
            return data

    def fill(self, array: np.ndarray) -> None:
        """Fills a C-contiguous array, and makes sure that the file ends there."""
        view = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
        with damage(self.path, OSError, zlib.error):
            at = 0
            while at < len(view):
                data = self.stream.read(min(_CHUNK_BYTES, len(view) - at))
                if not data:
                    missing = megabytes(len(view) - at)
                    raise DataError("data-damaged", f"cut short: {missing} are missing", self.path)
                view[at : at + len(data)] = data
                at += len(data)
            if self.stream.read(1):  # reading the end also makes gzip compare its checksum
                message = "more bytes than its header declares"
                raise DataError("data-damaged", message, self.path)

    def lines(self) -> Iterator[bytes]:
        """The lines with their ends, each at most 1 MiB long."""
        total = 0
        with damage(self.path, OSError, zlib.error):
            for number, line in enumerate(iter(lambda: self.stream.readline(_CHUNK_BYTES), b""), 1):
                total += len(line)
                if len(line) == _CHUNK_BYTES and not line.endswith(b"\n"):
                    raise DataError("data-limit", "a line longer than 1 MiB", self.path, number)
                if total > self.most_bytes:
                    raise _bomb(self.path, self.size, total)
                yield line

    def whole(self, most: int) -> bytes:
        """Everything; `data-limit` where that is more than `most` bytes."""
        if not self.packed and self.size > most:
            message = f"has {megabytes(self.size)}; the limit is {megabytes(most)}"
            raise DataError("data-limit", message, self.path)
        bound = min(self.most_bytes, most)
        with damage(self.path, OSError, zlib.error):
            data = self.stream.read(bound + 1)
        if len(data) > bound:
            raise _bomb(self.path, self.size, len(data))
        return data


@contextmanager
def open_content(folder: Folder, path: str) -> Iterator[Content]:
    """The file at `path`, unpacked on the way where it begins with gzip's magic number."""
    with folder.open(path) as file:
        size = os.fstat(file.fileno()).st_size
        with damage(path, OSError):
            packed = file.peek(2)[:2] == _GZIP_MAGIC  # type: ignore[attr-defined]
        with gzip.GzipFile(fileobj=file, mode="rb") if packed else nullcontext(file) as stream:
            yield Content(path, cast(BinaryIO, stream), size, packed)


def check_packed(path: str, packed: int, unpacked: int) -> None:
    """Refuses compressed data that claims more than it can, or should, unpack to."""
    if unpacked > (packed + 64) * _DEFLATE_RATIO:
        message = (
            f"its header declares {megabytes(unpacked)}, "
            f"which {megabytes(packed)} of compressed data cannot hold"
        )
        raise DataError("data-damaged", message, path)
    if unpacked > max(packed * _SENSIBLE_RATIO, _HARMLESS_BYTES):
        raise _bomb(path, packed, unpacked)


def _bomb(path: str, packed: int, unpacked: int) -> DataError:
    return DataError(
        "data-limit",
        f"unpacks from {megabytes(packed)} to {megabytes(unpacked)} or more; refused",
        path,
        help="store it without compression if that is really what it holds",
    )
