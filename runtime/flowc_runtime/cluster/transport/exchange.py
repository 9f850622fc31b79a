"""A task's end of all its channels: shared memory where it can be, streams where it must."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from flowc_runtime.cluster.exchange import Inbox, Incoming, Outbox, Outgoing, Peer
from flowc_runtime.cluster.transport.bell import Bell
from flowc_runtime.cluster.transport.boxes import SharedInbox, SharedOutbox
from flowc_runtime.cluster.transport.folder import Folder, find
from flowc_runtime.cluster.transport.generation import Generation
from flowc_runtime.cluster.transport.segment import create, file_name
from flowc_runtime.cores import usable_cores

if TYPE_CHECKING:
    import grpc

    from flowc_runtime.cluster.control.credentials import Credentials
    from flowc_runtime.cluster.transport.pull import PullStream


class TensorExchange:
    """An Exchange (see `cluster/exchange.py`) whose task answers pulls at `address`.

    With `shared_memory=False` it takes everything over the network, for measurements.
    """

    def __init__(
        self, address: str, credentials: Credentials | None = None, shared_memory: bool = True
    ):
        self.address = address
        self._credentials = credentials
        self._folder = Folder()
        self.token = self._folder.token
        self._shared_memory = shared_memory
        self._generation = Generation(-1, 0.0)
        self._opened = threading.Condition()
        self._outboxes: dict[str, SharedOutbox] = {}
        self._inboxes: dict[tuple[str, str], Inbox] = {}
        self._streams: list[PullStream] = []
        self._channels: dict[str, grpc.Channel] = {}  # by address

    def open(
        self,
        generation: int,
        me: str,
        peers: Sequence[Peer],
        outgoing: Sequence[Outgoing],
        incoming: Sequence[Incoming],
        patience_seconds: float,
    ) -> None:
        self.abort()
        self._folder.clear()
        begun = Generation(generation, patience_seconds, self._crowded(peers))
        self._outboxes = {
            channel.name: SharedOutbox(channel, create(
                self._folder.path / file_name(generation, channel.name), channel.bytes,
                len(channel.consumers)), begun)
            for channel in outgoing
        }
        begun.outboxes = self._outboxes
        self._inboxes, self._streams = {}, []
        for peer in peers:
            theirs = [channel for channel in incoming if channel.producer == peer.task]
            if theirs:
                self._connect(me, peer, theirs, begun)
        with self._opened:
            self._generation = begun
            self._opened.notify_all()

    def outbox(self, name: str) -> Outbox:
        return self._outboxes[name]

    def inbox(self, name: str, producer: str) -> Inbox:
        return self._inboxes[name, producer]

    def abort(self) -> None:
        self._generation.end()
        for stream in self._streams:
            stream.close()

    def wait_any(self, keys: Sequence[tuple[Inbox, int]]) -> int:
        found: list[int] = []

        def ready() -> bool:
            found[:] = [k for k, (inbox, number) in enumerate(keys) if inbox.ready(number)][:1]
            return bool(found)

        self._generation.wait(ready, lambda: self._missing(*keys[0]), lambda: _bells(keys))
        return found[0]

    def close(self) -> None:
        self.abort()
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()
        self._folder.close()

    # --- for those who serve pulls ------------------------------------------------------------

    def generation_of(self, number: int, patience_seconds: float) -> Generation | None:
        """The generation of that number, waited for if it is the next; None if it is over."""
        with self._opened:
            self._opened.wait_for(lambda: self._generation.number >= number, patience_seconds)
            found = self._generation
        return found if found.number == number and not found.over else None

    # ------------------------------------------------------------------------------------------

    def _crowded(self, peers: Sequence[Peer]) -> bool:
        """Whether the tasks on this machine are more than its cores."""
        near = sum(find(peer.token) is not None for peer in peers) if self._shared_memory else 0
        return 1 + near > usable_cores()

    def _missing(self, inbox: Inbox, number: int) -> tuple[str, str]:
        """The task that an inbox waits for, and what has not come of it."""
        name, producer = next(key for key, box in self._inboxes.items() if box is inbox)
        return producer, f"`{name}` number {number}"

    def _connect(
        self, me: str, peer: Peer, channels: Sequence[Incoming], generation: Generation
    ) -> None:
        folder = find(peer.token) if self._shared_memory else None
        if folder is not None:
            for channel in channels:
                path = folder / file_name(generation.number, channel.name)
                self._inboxes[channel.name, peer.task] = SharedInbox(
                    channel, path, channel.consumers.index(me), len(channel.consumers), generation)
            return
        from flowc_runtime.cluster.transport.pull import PullStream

        stream = PullStream(self._channel_to(peer.address), me, generation)
        for channel in channels:
            self._inboxes[channel.name, peer.task] = stream.add(channel)
        self._streams.append(stream)
        stream.start()

    def _channel_to(self, address: str) -> grpc.Channel:
        from flowc_runtime.cluster.control.client import open_channel

        if address not in self._channels:
            self._channels[address] = open_channel(address, self._credentials)
        return self._channels[address]


def _bells(keys: Sequence[tuple[Inbox, int]]) -> list[Bell]:
    """Those of all, or none: what comes over a network does not ring here."""
    found = [box.bells(n) if isinstance(box, SharedInbox) else () for box, n in keys]
    return [bell for bells in found for bell in bells] if all(found) else []
