"""Downloads a pinned data set: one home after another, checked before it gets its name."""

from __future__ import annotations

import hashlib
import http.client
import os
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from flowc_runtime.data.errors import DataError, did_you_mean
from flowc_runtime.data.pinned import COLLECTIONS, Collection, PinnedFile

TIMEOUT_SECONDS = 30.0  # without a byte
_CHUNK_BYTES = 1 << 16

Progress = Callable[[str, int, int], None]  # the file, its bytes so far, its bytes in all


class _Unfit(Exception):
    """What a home sent is not the file."""


def fetch(
    name: str,
    to: Path,
    homes: Sequence[str] | None = None,
    progress: Progress = lambda file, done, size: None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[Path, ...]:
    """The files of the data set `name` in the folder `to`, downloaded where they are missing.

    `homes` replaces the public addresses. A file gets its name only when size and sha256 are
    right; one that is already there and right is kept, one that differs is never overwritten.
    Raises DataError (`data-missing` for an unknown name, else `data-download`).
    """
    collection = COLLECTIONS.get(name)
    if collection is None:
        known = sorted(COLLECTIONS)
        help = did_you_mean(name, known) or f"known: {', '.join(known)}"
        raise DataError("data-missing", f"no data set `{name}`", help=help)
    return fetch_collection(collection, to, homes, progress, timeout_seconds)


def fetch_collection(
    collection: Collection,
    to: Path,
    homes: Sequence[str] | None = None,
    progress: Progress = lambda file, done, size: None,
    timeout_seconds: float = TIMEOUT_SECONDS,
) -> tuple[Path, ...]:
    """`fetch` for a collection that need not be in the catalogue."""
    with _writing(to):
        to.mkdir(parents=True, exist_ok=True)
    tried = collection.homes if homes is None else tuple(homes)
    for file in collection.files:
        if not _is_there(to / file.name, file):
            _from_any(tried, file, to, progress, timeout_seconds)
    return tuple(to / file.name for file in collection.files)


def _is_there(path: Path, file: PinnedFile) -> bool:
    if not path.exists():
        return False
    try:
        with path.open("rb") as existing:
            digest = hashlib.file_digest(existing, "sha256").hexdigest()
    except OSError as error:
        raise DataError("data-download", f"cannot be read: {error.strerror}", str(path)) from error
    if digest != file.sha256:
        message = "exists, and is not the file of the data set"
        help = "delete it, or choose another folder with --to"
        raise DataError("data-download", message, str(path), help=help)
    return True


def _from_any(
    homes: Sequence[str], file: PinnedFile, to: Path, progress: Progress, timeout: float
) -> None:
    reasons = []
    for home in homes:
        try:
            _from_one(home.rstrip("/") + "/" + file.name, file, to, progress, timeout)
            return
        except (_Unfit, OSError, http.client.HTTPException, ValueError) as error:
            reasons.append(f"{home}: {_reason(error)}")
    message = "could not be downloaded: " + "; ".join(reasons)
    help = f"put the file into {to} yourself; its sha256 is {file.sha256}"
    raise DataError("data-download", message, file.name, help=help)


def _from_one(url: str, file: PinnedFile, to: Path, progress: Progress, timeout: float) -> None:
    if not url.startswith(("http://", "https://")):
        raise _Unfit("no http or https address")
    request = urllib.request.Request(url, headers={"User-Agent": "flowc"})
    with urllib.request.urlopen(request, timeout=timeout) as response, _partial(to, file) as part:
        _receive(response, part, file, progress)
        with _writing(to):
            part.flush()
            os.fsync(part.fileno())
            os.chmod(part.name, 0o644)
            os.replace(part.name, to / file.name)


@contextmanager
def _partial(to: Path, file: PinnedFile) -> Iterator[IO[bytes]]:
    """A file beside the wanted one, which is gone afterwards unless it was renamed."""
    with _writing(to):
        part = tempfile.NamedTemporaryFile(dir=to, prefix=f".{file.name}.", delete=False)
    try:
        with part:
            yield part
    finally:
        Path(part.name).unlink(missing_ok=True)


def _receive(response: IO[bytes], part: IO[bytes], file: PinnedFile, progress: Progress) -> None:
    digest, done = hashlib.sha256(), 0
    while data := response.read(_CHUNK_BYTES):
        done += len(data)
        if done > file.size:
            raise _Unfit(f"sent more than the {file.size} bytes of the file")
        digest.update(data)
        with _writing(Path(part.name).parent):
            part.write(data)
        progress(file.name, done, file.size)
    if done < file.size:
        raise _Unfit(f"sent only {done} of {file.size} bytes")
    if digest.hexdigest() != file.sha256:
        raise _Unfit(f"sent another file (its sha256 is {digest.hexdigest()})")


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Tells trouble on this machine's disk, which no other home can mend, from the network's."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or "unknown error"
        raise DataError("data-download", f"cannot be written to: {reason}", str(folder)) from error


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        return f"HTTP {error.code} {error.reason}"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    return str(cause) or type(cause).__name__
