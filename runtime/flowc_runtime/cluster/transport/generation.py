"""What all boxes of one generation share: whether it is over, and how long to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from flowc_runtime.cluster.exchange import Aborted, PeerLost
from flowc_runtime.cluster.transport.waiting import wait_until


class Generation:
    """`number` is part of every key; after `end` whatever waits raises Aborted."""

    def __init__(self, number: int, patience_seconds: float):
        self.number = number
        self.over = False
        self._patience = patience_seconds
        self.published = threading.Condition()  # told of payloads, for those who serve others

    def end(self) -> None:
        self.over = True
        with self.published:
            self.published.notify_all()

    def wait(self, ready: Callable[[], bool], peer: str, what: str) -> None:
        """Until `ready`; raises Aborted, or PeerLost after the generation's patience."""
        if self.over:
            raise Aborted
        if ready():
            return
        deadline = time.monotonic() + self._patience
        found = wait_until(lambda: self.over or ready(), deadline)
        if self.over:
            raise Aborted
        if not found:
            raise PeerLost(peer, f"{what} of {peer} did not come within {self._patience:g} s")
