"""What a task needs of a transport: payloads of a step, published by one task and pulled by others.

A channel has two slots at its producer, used in turn. The producer fills the slot of a step and
publishes it; consumers pull it by key (generation, sequence number), read it and release it. The
producer's next slot is free once every consumer has released what lay there. So a payload is
never overwritten while somebody reads it, and a payload of another generation is never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

Bytes = np.ndarray  # uint8, one axis
SLOTS = 2  # of a channel at its producer


class Aborted(Exception):
    """The generation is over; what was waited for will not come."""


class PeerLost(Exception):
    """A payload did not come in time, or its producer is gone. `peer` is the task's name."""

    def __init__(self, peer: str, message: str):
        super().__init__(message)
        self.peer = peer


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A channel of which this task is a producer: at most `bytes` a payload.

    A `lossy` channel never waits for its consumers: they get the newest payload, or none.
    """

    name: str
    bytes: int
    consumers: tuple[str, ...]
    lossy: bool = False


@dataclass(frozen=True, slots=True)
class Incoming:
    """A channel that this task consumes, from one producer: there may be several of a name.

    `consumers` are all who take it, in the order in which its producer names them.
    """

    name: str
    bytes: int
    producer: str
    consumers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a task is: its address for pulls, and its token for shared memory."""

    task: str
    address: str
    token: str


class Outbox(Protocol):
    """The producer's end of a channel. Sequence numbers grow by one from 0, or jump ahead."""

    def slot(self, sequence: int) -> Bytes:
        """The memory to fill for this number; waits until its last content is released."""

    def publish(self, sequence: int, size: int) -> None:
        """The first `size` bytes of the slot are there for all consumers."""


class Inbox(Protocol):
    """A consumer's end of a channel."""

    def ready(self, sequence: int) -> bool:
        """Whether `fetch` would return at once."""

    def newest(self) -> int:
        """The highest number that was published in this generation so far, -1 for none."""

    def fetch(self, sequence: int) -> Bytes:
        """The payload, read-only, once it is there; valid until it is released."""

    def fetch_newest(self, at_least: int) -> tuple[int, Bytes]:
        """A copy of the newest payload of a lossy channel whose number is `at_least` or more."""
        ...

    def release(self, sequence: int) -> None:
        """This payload and all before it are not needed any more."""


class Exchange(Protocol):
    """A task's end of all its channels. Waiting raises Aborted or PeerLost."""

    address: str
    token: str

    def open(
        self,
        generation: int,
        me: str,
        peers: Sequence[Peer],
        outgoing: Sequence[Outgoing],
        incoming: Sequence[Incoming],
        patience_seconds: float,
    ) -> None:
        """Begins a generation; boxes of an earlier one raise Aborted from now on.

        A wait that takes longer than `patience_seconds` raises PeerLost.
        """

    def outbox(self, name: str) -> Outbox: ...

    def inbox(self, name: str, producer: str) -> Inbox: ...

    def abort(self) -> None:
        """Ends the generation: all who wait raise Aborted. May be called from any thread."""

    def wait_any(self, keys: Sequence[tuple[Inbox, int]]) -> int:
        """The position of one of the keys that is ready, the first in order if several are."""

    def close(self) -> None: ...
