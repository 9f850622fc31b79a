"""A worker put together: a task that listens, with a body, an exchange, and answers to probes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flowc_runtime.cluster.control.credentials import Credentials
from flowc_runtime.cluster.exchange import Exchange
from flowc_runtime.cluster.measure import measure_handler
from flowc_runtime.cluster.task import Task, TaskBody
from flowc_runtime.cluster.transport.exchange import TensorExchange
from flowc_runtime.cluster.transport.serve import pull_handler
from flowc_runtime.cluster.work.body import Body


def listening_task(
    listen: str, credentials: Credentials | None, root: Path, allow: tuple[Path, ...] = (),
    shared_memory: bool = True,
) -> Task:
    """Listens when it returns. `root` is where relative paths of data begin.

    Raises ClusterError `listen-failed`.
    """

    def make_body(exchange: Exchange) -> TaskBody:
        return Body(exchange, root, allow)

    def make_exchange(address: str) -> tuple[Exchange, Any]:
        exchange = TensorExchange(address, credentials, shared_memory)
        return exchange, pull_handler(exchange)

    return Task(listen, make_body, make_exchange, credentials, (measure_handler(),))
