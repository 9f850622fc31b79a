"""TensorBoard event files: one scalar per step and name."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Scalars:
    """Writes scalars for TensorBoard into a new file in `folder`, from `first_step` on.

    What an earlier file says of `first_step` and later, TensorBoard forgets. Records are written
    by the calling thread: tensorboardX's SummaryWriter would do it in one of its own, which a
    full disk kills, and then its queue fills and blocks the training for ever.
    """

    def __init__(self, folder: Path, first_step: int):
        self._folder = folder
        self._first_step = first_step
        self._writer: Any = None

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Raises OSError where the disk refuses. The file is made by the first call."""
        from tensorboardX.proto.summary_pb2 import Summary  # slow to import: 40 ms

        entries = [Summary.Value(tag=name, simple_value=value) for name, value in values.items()]
        self._write(step=step, summary=Summary(value=entries))

    def flush(self) -> None:
        if self._writer is not None:
            self._writer.flush()

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _write(self, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        if self._writer is None:
            self._writer = _new_file(self._folder)
            self._writer.write(
                Event(wall_time=time.time(), file_version="brain.Event:2").SerializeToString()
            )
            start = SessionLog(status=SessionLog.START)
            self._write(step=self._first_step, session_log=start)
        self._writer.write(Event(wall_time=time.time(), **content).SerializeToString())


def _new_file(folder: Path) -> Any:
    from tensorboardX import RecordWriter

    stem = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}"
    count = sum(1 for _ in folder.glob("events.out.tfevents.*"))
    return RecordWriter(str(folder / f"{stem}.{count}"))
