"""The ends of a channel on one machine: the producer's, and those of consumers that map it."""

from __future__ import annotations

from pathlib import Path

from flowc_runtime.cluster.exchange import SLOTS, Bytes, Incoming, Outgoing
from flowc_runtime.cluster.transport.bell import Bell
from flowc_runtime.cluster.transport.generation import Generation
from flowc_runtime.cluster.transport.segment import Segment, attach


class SharedOutbox:
    """A producer's end; `consumers` are in the order of the segment's release words."""

    def __init__(self, channel: Outgoing, segment: Segment, generation: Generation):
        self.channel = channel
        self.segment = segment
        self._generation = generation

    def slot(self, sequence: int) -> Bytes:
        place, segment = sequence % SLOTS, self.segment
        before = segment.published(place)
        self._generation.wait(
            lambda: not self._reading(before),
            lambda: (
                ", ".join(self._reading(before)) or self.channel.consumers[0],
                f"the release of `{self.channel.name}` number {before}"),
            lambda: self._given_back(before))
        segment.withdraw(place)
        return segment.slots[place]

    def publish(self, sequence: int, size: int) -> None:
        self.segment.publish(sequence % SLOTS, sequence, size)
        self._generation.tell()

    def _given_back(self, number: int) -> list[Bell]:
        """What rings when one of those who read that number releases it."""
        bells = self.segment.given_back
        return [bells[self.channel.consumers.index(name)] for name in self._reading(number)]

    def _reading(self, number: int) -> list[str]:
        """Who has not released that number."""
        if number < 0 or self.channel.lossy:
            return []
        consumers = enumerate(self.channel.consumers)
        return [name for k, name in consumers if self.segment.released(k) < number]


class SharedInbox:
    """A consumer's end on the producer's machine: a view of the very bytes."""

    def __init__(
        self, channel: Incoming, path: Path, place: int, consumers: int, generation: Generation
    ):
        self._channel = channel
        self._path = path
        self._place = place
        self._consumers = consumers
        self._generation = generation
        self._segment: Segment | None = None

    def ready(self, sequence: int) -> bool:
        segment = self._attached()
        return segment is not None and segment.slot_of(sequence) >= 0

    def bells(self, sequence: int) -> tuple[Bell, ...]:
        """What rings when that number is published, once its producer is there."""
        return () if self._segment is None else (self._segment.filled[sequence % SLOTS],)

    def newest(self) -> int:
        segment = self._attached()
        return -1 if segment is None else segment.newest()

    def fetch(self, sequence: int) -> Bytes:
        self._generation.wait(
            lambda: self.ready(sequence),
            lambda: (self._channel.producer, f"`{self._channel.name}` number {sequence}"),
            lambda: self.bells(sequence))
        assert self._segment is not None
        return self._segment.payloads[sequence % SLOTS]

    def fetch_newest(self, at_least: int) -> tuple[int, Bytes]:
        """A copy: the slot may be filled anew at any time, which the number in it then tells."""
        while True:
            self._generation.wait(
                lambda: self.newest() >= at_least,
                lambda: (
                    self._channel.producer, f"`{self._channel.name}` from number {at_least} on"),
                lambda: self.bells(at_least))
            segment = self._segment
            assert segment is not None
            sequence = segment.newest()
            segment.fence()
            copied = segment.payloads[sequence % SLOTS].copy()
            segment.fence()
            if sequence >= at_least and segment.slot_of(sequence) >= 0:
                return sequence, copied

    def release(self, sequence: int) -> None:
        segment = self._attached()
        if segment is not None:
            segment.release(self._place, sequence)

    def _attached(self) -> Segment | None:
        """The segment, once its producer has made it."""
        if self._segment is None:
            self._segment = attach(self._path, self._channel.bytes, self._consumers)
        return self._segment
