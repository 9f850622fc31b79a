"""The end of a task that is on a node of a Ray cluster: an actor, whose process is the worker.

What goes in and out of it is plain data, so that nothing of ours is pickled. Tensors take the
worker's own way, not Ray's.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flowc_runtime.cluster.control.credentials import Credentials
    from flowc_runtime.cluster.task import Task

LISTENS = "listens"  # the code of an answer that is no error
CHECK_SECONDS = 1.0  # between two looks whether the raylet is still there

Answer = tuple[str, str, str]  # a code of ClusterError, the message and the help; or LISTENS


class TaskActor:
    """Ray makes one for each task, and calls `host`, `listen` and `serve` in this order."""

    def __init__(self) -> None:
        self._task: Task | None = None

    def host(self) -> str:
        """Where the other nodes reach this one: an IP address."""
        import ray

        return str(ray.util.get_node_ip_address())

    def listen(
        self, host: str, certificates: Mapping[str, bytes], root: str, allow: Sequence[str]
    ) -> Answer:
        """Listens at a free port: (LISTENS, the address, the process), or what is wrong.

        `certificates` are the files of a folder of `flowc cluster cert`, none: it does without.
        """
        from flowc_runtime.cluster.errors import ClusterError
        from flowc_runtime.cluster.worker import listening_task

        if not Path(root).is_dir():
            return "data-missing", f"the node {host} has no folder {root}", SHARED_FOLDER
        at = f"[{host}]:0" if ":" in host else f"{host}:0"
        try:
            self._task = listening_task(
                at, _credentials(certificates), Path(root), tuple(map(Path, allow)))
        except ClusterError as error:
            return error.code, error.message, error.help or ""
        threading.Thread(target=_end_with, args=(os.getppid(),), name="raylet", daemon=True).start()
        return LISTENS, self._task.address, str(os.getpid())

    def serve(self) -> tuple[int, str]:
        """Takes part in one training: exit status and last words, when it is over."""
        assert self._task is not None, "listen first"
        return self._task.serve(keep=False)


SHARED_FOLDER = "the folder of the model must be there on every node, under the same path: in a " \
    "shared file system, or as a copy"


def _credentials(files: Mapping[str, bytes]) -> Credentials | None:
    from flowc_runtime.cluster.control.credentials import load_credentials

    if not files:
        return None
    with tempfile.TemporaryDirectory(prefix="flowc-task-") as folder:
        for name, content in files.items():
            path = Path(folder, name)
            path.touch(mode=0o600)
            path.write_bytes(content)
        return load_credentials(Path(folder))


def _end_with(parent: int) -> None:
    """A node that is taken away takes the task with it, whatever the task is at."""
    while os.getppid() == parent:
        threading.Event().wait(CHECK_SECONDS)
    os._exit(1)
