"""Tasks that are started in different ways."""

from __future__ import annotations

from collections.abc import Mapping

from flowc_runtime.cluster.launch import Launcher


class Mixed:
    """A launcher for each task."""

    def __init__(self, launchers: Mapping[str, Launcher]):
        self._launchers = launchers

    def start(self, task: str) -> str:
        return self._launchers[task].start(task)

    def restart(self, task: str) -> str:
        return self._launchers[task].restart(task)

    def watch(self, task: str, seconds: float) -> str | None:
        return self._launchers[task].watch(task, seconds)

    def addresses(self) -> Mapping[str, str]:
        return {task: launcher.addresses()[task] for task, launcher in self._launchers.items()}

    def close(self) -> None:
        for launcher in {id(entry): entry for entry in self._launchers.values()}.values():
            launcher.close()
