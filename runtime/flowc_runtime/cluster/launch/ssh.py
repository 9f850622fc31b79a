"""Tasks on other hosts, started through OpenSSH with the user's own configuration.

ssh never asks for anything here: keys or an agent must do. When the connection ends, so does the
worker's standard input, and with that the worker.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path

from flowc_runtime.cluster.launch import Place
from flowc_runtime.cluster.launch.environment import task_environment
from flowc_runtime.cluster.launch.local import worker_options
from flowc_runtime.cluster.launch.processes import Command, Processes

SSH = ("ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=5",
       "-o", "ServerAliveInterval=2", "-o", "ServerAliveCountMax=2")  # fmt: skip
KILL_SECONDS = 8.0


def over_ssh(
    places: Sequence[Place], threads: int, logs: Path | None, ssh: Sequence[str] = SSH
) -> Processes:
    """`ssh` is the command to which host and remote command are added."""

    def command(place: Place) -> Command:
        settings = [f"{name}={value}" for name, value in task_environment(threads).items()]
        words = ["env", *settings, place.ssh_command, "worker", *worker_options(place)]
        return Command([*ssh, "--", place.ssh_to, shlex.join(words)])

    def kill(place: Place, pid: int) -> None:
        """A worker that does not end by itself: frozen, maybe. It is gone with its host else."""
        line = f"grep -qa worker /proc/{pid}/cmdline && kill -9 {pid}"
        try:
            subprocess.run(
                [*ssh, "--", place.ssh_to, line], stdin=subprocess.DEVNULL, capture_output=True,
                timeout=KILL_SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return  # out of reach: its lease ends it

    return Processes(places, command, logs, kill)
