"""This process as a driver of a Ray cluster that runs already."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flowc_runtime.cluster.errors import ClusterError

HERE = "auto"  # RAY_ADDRESS, or the cluster that this machine belongs to
CLIENT = "ray://"
KNOCK_SECONDS = 5.0
START_ONE = (
    "start one with `ray start --head`, and on further machines `ray start --address HEAD:6379`; "
    "or name one by RAY_ADDRESS=HEAD:6379 or --cluster ray://HEAD:10001"
)


def connect(address: str) -> None:
    """This process joins the Ray cluster, if it has not. ClusterError `ray-…`.

    `address` is HERE, `HOST:PORT` of the cluster's head, or `ray://HOST:PORT` of a Ray client
    server.
    """
    ray = library()
    if ray.is_initialized():
        return
    try:
        _knock(_found(address))
        with _signals_kept():
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        there = "" if address == HERE else f" at {address}"
        raise ClusterError(
            "ray-unreachable", f"no Ray cluster can be joined{there}: {_first_line(error)}",
            START_ONE,
        ) from error  # fmt: skip
    _keep_quiet(ray)


def library() -> Any:
    """The package ray; ClusterError `ray-missing` where it is not installed."""
    try:
        import ray
    except ImportError:
        raise ClusterError(
            "ray-missing",
            "training on a Ray cluster needs the package ray, which is not installed",
            'pip install "flowc[ray]"',
        ) from None
    return ray


def _found(address: str) -> str:
    """HOST:PORT where it will be looked for; empty if only Ray itself can find out."""
    if address == HERE:
        address = os.environ.get("RAY_ADDRESS") or _last_started()
    return address.removeprefix(CLIENT)


def _last_started() -> str:
    """What the last `ray start` on this machine has left."""
    file = Path(os.environ.get("RAY_TMPDIR", "/tmp"), "ray", "ray_current_cluster")
    return file.read_text().strip() if file.is_file() else ""


def _knock(address: str) -> None:
    """OSError if nobody is there: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), KNOCK_SECONDS).close()


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Ray ends the process at SIGTERM; a training ends in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _keep_quiet(ray: Any) -> None:
    """Ray prints troubles of its nodes to stdout whatever it is told, into what `--json` prints.

    There is no setting for that. Where another version does it elsewhere, it is not quiet.
    """
    worker = ray._private.worker
    if hasattr(worker, "print_to_stdstream"):
        worker.print_to_stdstream = _to_nobody


def _to_nobody(*_: object, **__: object) -> None:
    pass


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
