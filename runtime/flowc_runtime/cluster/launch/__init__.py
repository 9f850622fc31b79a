"""Starting tasks: one interface, whether they are child processes, behind ssh, or somebody else's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["local", "ssh", "none", "ray"]


@dataclass(frozen=True, slots=True)
class Place:
    """A task and where it is to be. Port 0: the task chooses one, and tells.

    `ssh_to` and `ssh_command` say how to get there and what to call there; `tls` is the folder of
    certificates over there, `root` where its data are, and `allow` where else they may be.
    """

    task: str
    address: str
    start: Kind
    ssh_to: str = ""
    ssh_command: str = "flowc"
    tls: str | None = None
    insecure: bool = False
    root: str = ""
    allow: tuple[str, ...] = ()


class Launcher(Protocol):
    """Has tasks started, and knows what becomes of them. ClusterError where one cannot be.

    One thread at a time asks about a task; different tasks are asked about at the same time.
    Every call comes to an end within a minute.
    """

    def start(self, task: str) -> str:
        """The address where the task listens, or soon will."""
        ...

    def restart(self, task: str) -> str:
        """Ends what is left of the task for good, and starts it again: maybe elsewhere."""
        ...

    def watch(self, task: str, seconds: float) -> str | None:
        """How the task's process ended, as it reads behind its name: `died (killed by SIGKILL)`.

        None if it has not ended within `seconds`, or nobody here can know.
        """
        ...

    def addresses(self) -> Mapping[str, str]:
        """Of the tasks as they are now."""
        ...

    def close(self) -> None:
        """Ends all processes that were started."""


def launcher_for(places: Sequence[Place], threads: int, logs: Path | None) -> Launcher:
    """Starts each task as its place says; their output goes into files in `logs`."""
    from flowc_runtime.cluster.launch.by_hand import ByHand
    from flowc_runtime.cluster.launch.local import local_children
    from flowc_runtime.cluster.launch.mixed import Mixed
    from flowc_runtime.cluster.launch.ssh import over_ssh

    kinds: dict[Kind, list[Place]] = {}
    for place in places:
        kinds.setdefault(place.start, []).append(place)
    launchers: dict[str, Launcher] = {}
    for kind, group in kinds.items():
        launcher: Launcher
        match kind:
            case "local":
                launcher = local_children(group, threads, logs)
            case "ssh":
                launcher = over_ssh(group, threads, logs)
            case "none":
                launcher = ByHand(group)
            case "ray":
                raise ValueError("tasks on Ray have a launcher of their own, launch.ray.OnRay")
        launchers |= {place.task: launcher for place in group}
    return Mixed(launchers)
