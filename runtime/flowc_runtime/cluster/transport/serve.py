"""The producer's end of pull streams: answers requests from the slots of the own channels."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import grpc

from flowc_runtime.cluster.exchange import SLOTS
from flowc_runtime.cluster.transport.frames import (
    CHUNK_BYTES,
    NEWEST,
    RELEASE,
    BadFrame,
    Request,
    answer_head,
    decode_request,
)

if TYPE_CHECKING:
    from flowc_runtime.cluster.transport.boxes import SharedOutbox
    from flowc_runtime.cluster.transport.exchange import TensorExchange
    from flowc_runtime.cluster.transport.generation import Generation

SERVICE, METHOD = "flowc.Tensors", "Pull"
PENDING_MAX = 4096  # requests of one stream that wait at once
LOOK_SECONDS = 0.5  # between two looks whether the caller is still there
NEXT_SECONDS = 60.0  # that a consumer may be ahead of us in the next generation


class Refused(Exception):
    """A request that is answered with a status, and the end of its stream."""

    def __init__(self, status: grpc.StatusCode, message: str):
        super().__init__(message)
        self.status = status


def pull_handler(exchange: TensorExchange) -> grpc.GenericRpcHandler:
    """Serves the exchange's channels to other machines."""

    def pull(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        return _Stream(exchange, context).answers(requests)

    stream = grpc.stream_stream_rpc_method_handler(pull)
    return grpc.method_handlers_generic_handler(SERVICE, {METHOD: stream})


class _Stream:
    """One consumer's stream: a thread reads requests, the call's own thread answers them."""

    def __init__(self, exchange: TensorExchange, context: grpc.ServicerContext):
        self._exchange = exchange
        self._context = context
        self._pending: list[Request] = []
        self._refused: Refused | None = None
        self._closed = False

    def answers(self, requests: Iterator[bytes]) -> Iterator[bytes]:
        generation = self._first(requests)
        reader = threading.Thread(
            target=self._read, args=(requests, generation), name="pulls", daemon=True)
        reader.start()
        while (found := self._next(generation)) is not None:
            yield from self._payload(*found, generation)
        if self._refused is not None:
            self._context.abort(self._refused.status, str(self._refused))
        if generation.over:
            self._context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the generation is over")

    def _first(self, requests: Iterator[bytes]) -> Generation:
        """The generation that the first request belongs to; the call is aborted for a bad one."""
        status, message = grpc.StatusCode.FAILED_PRECONDITION, "that generation is over"
        try:
            request = decode_request(next(requests, b""))
            generation = self._exchange.generation_of(request.generation, NEXT_SECONDS)
            if generation is not None:
                self._take(request, generation)
                return generation
        except BadFrame as error:
            status, message = grpc.StatusCode.INVALID_ARGUMENT, str(error)
        except Refused as refused:
            status, message = refused.status, str(refused)
        self._context.abort(status, message)
        raise AssertionError("`abort` raises")

    def _read(self, requests: Iterator[bytes], generation: Generation) -> None:
        try:
            for frame in requests:
                request = decode_request(frame)
                if request.generation != generation.number:
                    raise Refused(
                        grpc.StatusCode.FAILED_PRECONDITION, "a request of another generation")
                self._take(request, generation)
        except BadFrame as error:
            self._refused = Refused(grpc.StatusCode.INVALID_ARGUMENT, str(error))
        except Refused as refused:
            self._refused = refused
        except grpc.RpcError:
            pass  # the caller has gone
        except Exception as error:  # what gRPC raises when a call ends differs by version
            if self._context.is_active():
                self._refused = Refused(grpc.StatusCode.INTERNAL, repr(error))
        self._closed = True
        generation.tell()

    def _take(self, request: Request, generation: Generation) -> None:
        outbox = _served(generation, request)
        if outbox is None:
            raise Refused(
                grpc.StatusCode.PERMISSION_DENIED, "no channel of that name is for that consumer")
        if request.kind == RELEASE:
            place = outbox.channel.consumers.index(request.consumer)
            outbox.segment.release(place, request.sequence)
            return
        if len(self._pending) >= PENDING_MAX:
            raise Refused(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many requests wait")
        with generation.changed:
            self._pending.append(request)
            generation.changed.notify_all()

    def _next(self, generation: Generation) -> tuple[Request, SharedOutbox, int] | None:
        """A request that can be answered, and with which number; None at the end."""
        while True:
            with generation.changed:
                if self._refused or self._closed or generation.over:
                    return None
                for request in self._pending:
                    outbox = generation.outboxes[request.channel]
                    if (sequence := _available(outbox, request)) >= 0:
                        self._pending.remove(request)
                        return request, outbox, sequence
                if not self._context.is_active():
                    return None
                generation.changed.wait(LOOK_SECONDS)

    def _payload(
        self, request: Request, outbox: SharedOutbox, sequence: int, generation: Generation
    ) -> Iterator[bytes]:
        slot, size = sequence % SLOTS, outbox.segment.size(sequence % SLOTS)
        payload = outbox.segment.payloads[slot].data[:size]
        if outbox.channel.lossy:  # the slot may be filled anew while it is sent
            payload = memoryview(bytes(payload))
            outbox.segment.fence()
            if outbox.segment.slot_of(sequence) < 0:
                with generation.changed:
                    self._pending.insert(0, request)  # a newer one answers it
                return
        head = answer_head(outbox.channel.name, sequence, size)
        yield b"".join((head, payload[:CHUNK_BYTES]))
        for start in range(CHUNK_BYTES, size, CHUNK_BYTES):
            yield bytes(payload[start : start + CHUNK_BYTES])


def _served(generation: Generation, request: Request) -> SharedOutbox | None:
    """The channel of this generation that is asked for, if it is for that consumer.

    A request of an earlier generation that is still under way never meets a channel of this one.
    """
    outbox = generation.outboxes.get(request.channel)
    return outbox if outbox is not None and request.consumer in outbox.channel.consumers else None


def _available(outbox: SharedOutbox, request: Request) -> int:
    """The number of a payload that answers the request, or -1."""
    published = [outbox.segment.published(slot) for slot in range(SLOTS)]
    outbox.segment.fence()
    fitting = [number for number in published if number >= request.sequence]
    if not fitting:
        return -1
    return max(fitting) if request.kind == NEWEST else min(fitting)
