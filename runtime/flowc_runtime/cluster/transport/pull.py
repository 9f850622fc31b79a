"""The consumer's end of pull streams: payloads of another machine, in slots of one's own."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import grpc
import numpy as np

from flowc_runtime.cluster.exchange import SLOTS, Bytes, Incoming, PeerLost
from flowc_runtime.cluster.transport.frames import (
    NEWEST,
    PULL,
    RELEASE,
    BadFrame,
    Request,
    decode_answer_head,
    encode_request,
)
from flowc_runtime.cluster.transport.generation import Generation
from flowc_runtime.cluster.transport.serve import METHOD, SERVICE

AGAIN_SECONDS = 0.2  # before a stream that broke is opened anew
FINAL = (grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT,
         grpc.StatusCode.UNAUTHENTICATED)  # fmt: skip

Requests = queue.SimpleQueue[bytes | None]
Frame = Callable[[bytes, int], bytes]  # the request of that kind and number


class RemoteInbox:
    """A channel whose producer is elsewhere. Its payloads are asked for before they are needed.

    For each request there is a free slot, so no more is ever under way than there is room for.
    """

    def __init__(
        self, channel: Incoming, frame: Frame, stream: PullStream, generation: Generation
    ):
        self.channel = channel
        self._frame = frame
        self._requests: Requests | None = None  # of the stream, once it is open
        self._stream = stream
        self._generation = generation
        self._slots = tuple(np.empty(channel.bytes, np.uint8) for _ in range(SLOTS))
        self._payloads = tuple(slot.view() for slot in self._slots)
        for payload in self._payloads:
            payload.flags.writeable = False
        self._free = list(range(SLOTS))
        self._held: dict[int, int] = {}  # the slot of each number that is here
        self._asked: list[tuple[bytes, int]] = []  # without an answer so far
        self._next = 0  # the number to ask for
        self._newest = -1
        self._released = -1
        self._filling = -1
        self._lock = threading.RLock()

    def ready(self, sequence: int) -> bool:
        if sequence in self._held:
            return True
        with self._lock:
            self._prefetch()
        return sequence in self._held

    def newest(self) -> int:
        return self._newest

    def fetch(self, sequence: int) -> Bytes:
        self._wait(lambda: self.ready(sequence), f"number {sequence}")
        return self._payloads[self._held[sequence]]

    def fetch_newest(self, at_least: int) -> tuple[int, Bytes]:
        with self._lock:
            if not self._asked:
                self._send(NEWEST, at_least)
        self._wait(lambda: any(n >= at_least for n in tuple(self._held)), f"{at_least} or later")
        with self._lock:
            sequence = max(self._held)
            copied = self._slots[self._held[sequence]].copy()
            self._free += self._held.values()
            self._held.clear()
        return sequence, copied

    def release(self, sequence: int) -> None:
        with self._lock:
            for number in [n for n in self._held if n <= sequence]:
                self._free.append(self._held.pop(number))
            self._next = max(self._next, sequence + 1)
            self._released = max(self._released, sequence)
            self._put(RELEASE, sequence)
            self._prefetch()

    def _prefetch(self) -> None:
        while len(self._asked) < len(self._free):
            self._send(PULL, self._next)
            self._next += 1

    def _send(self, kind: bytes, sequence: int) -> None:
        self._asked.append((kind, sequence))
        self._put(kind, sequence)

    def _put(self, kind: bytes, sequence: int) -> None:
        if self._requests is not None:
            self._requests.put(self._frame(kind, sequence))

    def _wait(self, ready: Callable[[], bool], what: str) -> None:
        producer = self.channel.producer

        def found() -> bool:
            return ready() or self._stream.lost is not None

        self._generation.wait_told(found, lambda: (producer, f"`{self.channel.name}` {what}"))
        if self._stream.lost is not None and not ready():
            raise PeerLost(producer, f"{producer} sends nothing: {self._stream.lost}")

    # --- for the thread of the stream ---------------------------------------------------------

    def connect(self, requests: Requests) -> None:
        """Requests go there from now on, those first that the last stream may not have taken."""
        with self._lock:
            self._requests = requests
            if self._filling >= 0:
                self._free.append(self._filling)
                self._filling = -1
            if self._released >= 0:
                self._put(RELEASE, self._released)
            for kind, sequence in self._asked:
                self._put(kind, sequence)

    def begin(self, size: int) -> Bytes:
        """Where the payload goes that is about to come; BadFrame if nobody asked for it."""
        with self._lock:
            if size > self.channel.bytes or not self._asked or not self._free:
                raise BadFrame(f"`{self.channel.name}` brings more than was asked for")
            self._filling = self._free.pop()
            return self._slots[self._filling]

    def finish(self, sequence: int) -> None:
        """The payload is complete; BadFrame if its number is none that was asked for."""
        with self._lock:
            answered = next((a for a in self._asked if a[1] <= sequence), None)
            if answered is None:
                raise BadFrame(f"`{self.channel.name}` brings number {sequence} unasked")
            self._asked.remove(answered)
            slot, self._filling = self._filling, -1
            self._next = max(self._next, sequence + 1)
            self._newest = max(self._newest, sequence)
            if sequence in self._held or sequence <= self._released:
                self._free.append(slot)  # answered twice, or come too late to be needed
                self._prefetch()
            else:
                self._held[sequence] = slot
        self._generation.tell()


class PullStream:
    """All channels of one producer. `lost` says why no more payloads will come, if so."""

    def __init__(self, channel: grpc.Channel, me: str, generation: Generation):
        self.lost: str | None = None
        self.inboxes: dict[str, RemoteInbox] = {}
        self._channel = channel
        self._me = me
        self._generation = generation
        self._requests: Requests = queue.SimpleQueue()
        self._call: grpc.Call | None = None
        self._thread = threading.Thread(target=self._run, name="pull", daemon=True)

    def add(self, incoming: Incoming) -> RemoteInbox:
        def frame(kind: bytes, sequence: int) -> bytes:
            return encode_request(
                Request(kind, self._generation.number, sequence, self._me, incoming.name))

        inbox = self.inboxes[incoming.name] = RemoteInbox(incoming, frame, self, self._generation)
        return inbox

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Ends the stream; the generation is over."""
        self._requests.put(None)
        if self._call is not None:
            self._call.cancel()

    def _run(self) -> None:
        while not self._generation.over and self.lost is None:
            try:
                self._follow()
            except BadFrame as error:
                self._lose(str(error))
            except grpc.RpcError as error:
                self._broken(error)
            except ValueError:  # gRPC's word for a channel that `close` has closed meanwhile
                if not self._generation.over:
                    raise

    def _follow(self) -> None:
        """Opens the stream, and reads it until it ends."""
        requests = self._requests = queue.SimpleQueue()
        for inbox in self.inboxes.values():
            inbox.connect(requests)
        path = f"/{SERVICE}/{METHOD}"
        self._call = call = self._channel.stream_stream(path)(_drain(requests))
        if self._generation.over:  # `close` came before there was a call to cancel
            call.cancel()
        frames = iter(call)
        for frame in frames:
            _receive(frame, frames, self.inboxes)

    def _broken(self, error: grpc.RpcError) -> None:
        """A producer that is not there yet, or was started anew, is asked again."""
        status = error.code() if isinstance(error, grpc.Call) else None
        if status in FINAL:
            self._lose(str(error.details()) if isinstance(error, grpc.Call) else str(error))
        elif not self._generation.over:
            time.sleep(AGAIN_SECONDS)

    def _lose(self, why: str) -> None:
        self.lost = why
        self._generation.tell()


def _drain(requests: Requests) -> Iterator[bytes]:
    while (frame := requests.get()) is not None:
        yield frame


def _receive(
    frame: bytes, frames: Iterator[bytes], inboxes: Mapping[str, RemoteInbox]
) -> None:
    """One payload, whose first answer is `frame`, into its slot."""
    head = decode_answer_head(frame)
    inbox = inboxes.get(head.channel)
    if inbox is None:
        raise BadFrame("a payload of a channel that nobody asked for")
    slot = inbox.begin(head.size)
    filled, piece = 0, memoryview(frame)[head.start :]
    while True:
        if filled + len(piece) > head.size:
            raise BadFrame(f"a payload of more than the {head.size} bytes that it says")
        slot[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
        filled += len(piece)
        if filled == head.size:
            inbox.finish(head.sequence)
            return
        piece = memoryview(next(frames, b""))
        if not piece:
            raise BadFrame("a payload that ends before its size")
