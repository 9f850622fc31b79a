"""Tasks as child processes of the coordinator."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from flowc_runtime.cluster.launch import Place
from flowc_runtime.cluster.launch.environment import task_environment
from flowc_runtime.cluster.launch.processes import Command, Processes

WORKER = (sys.executable, "-m", "flowc.cli", "worker")


def local_children(
    places: Sequence[Place], threads: int, logs: Path | None, worker: Sequence[str] = WORKER
) -> Processes:
    """`worker` is the command of a worker, to which its options are added."""

    def command(place: Place) -> Command:
        return Command([*worker, *worker_options(place)], task_environment(threads))

    return Processes(places, command, logs)


def worker_options(place: Place) -> list[str]:
    """What a worker is told that ends with its coordinator."""
    secure = ["--tls", place.tls] if place.tls else []
    insecure = ["--insecure"] if place.insecure else []
    root = ["--root", place.root] if place.root else []
    allow = [word for folder in place.allow for word in ("--allow-path", folder)]
    return ["--listen", place.address, "--until-eof", *secure, *insecure, *root, *allow]
