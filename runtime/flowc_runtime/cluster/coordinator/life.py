"""A life of a task, on a thread of its own: started, connected, listened to until it is over."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from flowc_runtime.cluster.control.client import Line
from flowc_runtime.cluster.control.credentials import Credentials
from flowc_runtime.cluster.coordinator.events import Connected, Event, Lost, Received, Start
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.launch import Launcher
from flowc_runtime.cluster.messages import Command

CONNECT_SECONDS = 5.0
REASON_SECONDS = 0.5  # for a process to have ended, where its connection broke


class Life:
    """Tells `tell` what happens. Any thread may send, and end the life."""

    def __init__(
        self, start: Start, launcher: Launcher, credentials: Credentials | None,
        tell: Callable[[Event], None],
    ):  # fmt: skip
        self._task, self._life = start.task, start.life
        self._launcher = launcher
        self._credentials = credentials
        self._tell = tell
        self._line: Line | None = None
        self._over = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._live, name=f"{start.task}", daemon=True)
        self._thread.start()

    def send(self, command: Command | Iterable[Command]) -> None:
        if self._line is not None:
            self._line.send(command)

    def end(self) -> None:
        """Nothing is told from now on, and the line is closed. The process is the launcher's."""
        with self._lock:
            self._over = True
        if self._line is not None:
            self._line.close()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _live(self) -> None:
        try:
            self._listen(self._connect())
            code, reason, help = "task-lost", "ended the conversation", None
        except ClusterError as error:
            code, reason, help = error.code, error.message, error.help
        except ConnectionError as error:
            code, reason, help = "task-lost", f"lost its connection ({error})", None
        except Exception as error:
            code, reason, help = "task-bug", f"{type(error).__name__}: {error}", None
        if not self._over:
            how = self._launcher.watch(self._task, REASON_SECONDS) if code == "task-lost" else None
            self._tell(Lost(self._task, self._life, code, how or reason, help))

    def _connect(self) -> Line:
        first = self._life == 1
        launcher, task = self._launcher, self._task
        address = launcher.start(task) if first else launcher.restart(task)
        line = Line(address, self._credentials, CONNECT_SECONDS)
        with self._lock:
            self._line = line
            if self._over:
                line.close()
        self._tell(Connected(task, self._life, address))
        return line

    def _listen(self, line: Line) -> None:
        for message in line.events():
            if self._over:
                return
            self._tell(Received(self._task, self._life, message))
