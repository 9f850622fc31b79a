"""The folder of a task's segments, in memory where the system has such a place."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
from pathlib import Path

PREFIX = "flowc-"
TOKEN = re.compile(r"[0-9a-f]{32}-[0-9]+")


class Folder:
    """Made for one task. Its token is random, and ends with the number of the process."""

    def __init__(self) -> None:
        _remove_abandoned()
        self.token = f"{secrets.token_hex(16)}-{os.getpid()}"
        self.path = _root() / (PREFIX + self.token)
        self.path.mkdir(mode=0o700)

    def clear(self) -> None:
        """Removes the segments of the last generation; who maps one still keeps it."""
        for path in self.path.iterdir():
            path.unlink(missing_ok=True)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def find(token: str) -> Path | None:
    """The folder of a task on this machine that belongs to the same user, by its token."""
    if not TOKEN.fullmatch(token):
        return None
    path = _root() / (PREFIX + token)
    try:
        return path if path.lstat().st_uid == os.getuid() and path.is_dir() else None
    except OSError:
        return None


def _root() -> Path:
    memory = Path("/dev/shm")
    return memory if memory.is_dir() else Path(tempfile.gettempdir())


def _remove_abandoned() -> None:
    """Folders of this user's processes that were killed before they could tidy up."""
    for path in _root().glob(PREFIX + "*"):
        token = path.name.removeprefix(PREFIX)
        if TOKEN.fullmatch(token) and find(token) and not _lives(int(token.partition("-")[2])):
            shutil.rmtree(path, ignore_errors=True)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
