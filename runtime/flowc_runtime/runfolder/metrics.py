"""`metrics.jsonl`: what a run has measured, one JSON object a line."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flowc_runtime.checkpoint.disk import Disk, replace_text


class MetricsLog:
    """Appends lines to `path`, each with a `step`; a line is in the file wholly or not at all."""

    def __init__(self, path: Path):
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._size = os.lseek(self._file, 0, os.SEEK_END)

    def write(self, record: Mapping[str, Any]) -> None:
        """Raises OSError where the disk refuses; what was written before stays whole."""
        line = json.dumps(record, allow_nan=False).encode() + b"\n"
        written = 0
        try:
            while written < len(line):
                written += os.pwrite(self._file, line[written:], self._size + written)
        except OSError:
            os.ftruncate(self._file, self._size)
            raise
        self._size += len(line)

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def drop_after(path: Path, step: int, disk: Disk) -> None:
    """Remove the lines of later steps, which a resumed run measures again, and torn ones."""
    if not path.exists():
        return
    text = path.read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines(keepends=True)
    kept = "".join(line for line in lines if line.endswith("\n") and _is_until(line, step))
    if kept != text:
        replace_text(disk, path, kept)


def _is_until(line: str, step: int) -> bool:
    try:
        return int(json.loads(line)["step"]) <= step
    except (ValueError, TypeError, KeyError, RecursionError):
        return False
