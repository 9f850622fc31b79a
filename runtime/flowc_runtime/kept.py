"""Compiled code that is kept for the next process, in the user's cache."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from platformdirs import user_cache_path

DIGEST_BYTES = 32  # in front of what is kept: SHA-256 of what follows
FORM = "1"  # of what is kept


def kept_code(text: str, key: str, suffix: str, make: Callable[[str], bytes]) -> bytes:
    """What `make` makes of the text, or what it once made: `key` names all else that it depends
    on."""
    name = hashlib.sha256(f"{FORM}\n{key}\n{text}".encode()).hexdigest()
    path = user_cache_path("flowc") / "kernels" / f"{name}.{suffix}"
    found = _read(path)
    if found is None:
        found = make(text)
        with suppress(OSError):  # without a cache it is made anew next time
            _keep(path, found)
    return found


def _read(path: Path) -> bytes | None:
    """What is kept there, if it is whole and nobody else could have written it."""
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or _is_others(found):
                return None
            content = file.read()
    except OSError:
        return None
    digest, code = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return code if hashlib.sha256(code).digest() == digest else None


def _is_others(found: os.stat_result) -> bool:
    own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
    return not own or bool(found.st_mode & (stat.S_IWGRP | stat.S_IWOTH))


def _keep(path: Path, code: bytes) -> None:
    """Whole or not at all, also where two processes do it at once."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        try:
            file.write(hashlib.sha256(code).digest() + code)
            file.flush()
            os.replace(file.name, path)
        except OSError:
            os.unlink(file.name)
            raise
