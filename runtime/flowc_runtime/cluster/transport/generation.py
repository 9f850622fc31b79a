"""What all boxes of one generation share: whether it is over, and how long to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from flowc_runtime.cluster.exchange import Aborted, PeerLost
from flowc_runtime.cluster.transport.waiting import Bells, wait_until

if TYPE_CHECKING:
    from flowc_runtime.cluster.transport.boxes import SharedOutbox

Missing = Callable[[], tuple[str, str]]  # whose turn it is, and what has not come; asked at the end


class Generation:
    """`number` is part of every key; after `end` whatever waits raises Aborted.

    `crowded`: there are more tasks on this machine than cores.
    """

    def __init__(self, number: int, patience_seconds: float, crowded: bool = False):
        self.number = number
        self.over = False
        self.outboxes: Mapping[str, SharedOutbox] = {}  # by channel; a stream serves only these
        self._patience = patience_seconds
        self._crowded = crowded
        self.changed = threading.Condition()  # told of what happens within this process

    def end(self) -> None:
        self.over = True
        self.tell()

    def tell(self) -> None:
        """Wakes the threads of this process that wait for `changed`."""
        with self.changed:
            self.changed.notify_all()

    def wait_told(self, ready: Callable[[], bool], missing: Missing) -> None:
        """As `wait`, for what a thread of this process brings about and tells."""
        with self.changed:
            found = self.changed.wait_for(lambda: self.over or ready(), self._patience)
        self._conclude(found, missing)

    def wait(
        self, ready: Callable[[], bool], missing: Missing, bells: Bells = tuple
    ) -> None:
        """Until `ready`; raises Aborted, or PeerLost after the generation's patience.

        `bells` says what rings, if anything does, when that which is missing comes.
        """
        if self.over:
            raise Aborted
        if ready():
            return
        deadline = time.monotonic() + self._patience
        found = wait_until(lambda: self.over or ready(), deadline, bells, self._crowded)
        self._conclude(found, missing)

    def _conclude(self, found: bool, missing: Missing) -> None:
        if self.over:
            raise Aborted
        if not found:
            peer, what = missing()
            raise PeerLost(peer, f"{what} of {peer} did not come within {self._patience:g} s")
