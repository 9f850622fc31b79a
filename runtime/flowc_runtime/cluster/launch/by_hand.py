"""Tasks that somebody else starts: a person in a terminal, or systemd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from flowc_runtime.cluster.launch import Place


class ByHand:
    """Knows where the tasks are, and nothing else."""

    def __init__(self, places: Sequence[Place]):
        self._addresses = {place.task: place.address for place in places}

    def start(self, task: str) -> str:
        return self._addresses[task]

    def restart(self, task: str) -> str:
        return self._addresses[task]

    def watch(self, task: str, seconds: float) -> str | None:
        return None

    def addresses(self) -> Mapping[str, str]:
        return self._addresses

    def close(self) -> None:
        pass
