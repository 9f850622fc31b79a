"""One process per run folder, by a lock that the system releases even if the process is killed."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from pathlib import Path

from flowc_runtime.runfolder.errors import RunError

OWNER_MAX_BYTES = 4096


class Lock:
    """Holds the file `lock` of a run folder from construction to `release`.

    Raises RunError `run-busy`, with the holder's pid and host. The file stays when the lock is
    released: removing it would let two processes hold two files of that name.
    """

    def __init__(self, folder: Path):
        self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = _owner(self._file)
            os.close(self._file)
            raise RunError(
                "run-busy",
                f"{folder} is in use by {owner}",
                help="wait for it, stop it, or train into another folder with --out",
            ) from None
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}) + "\n"
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, text.encode(), 0)

    def release(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _owner(file: int) -> str:
    try:
        facts = json.loads(os.pread(file, OWNER_MAX_BYTES, 0))
        return f"pid {int(facts['pid'])} on {facts['host']}"
    except (ValueError, TypeError, KeyError):  # it has the lock, but has not yet said who it is
        return "another process"
