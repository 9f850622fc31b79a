"""Payloads between tasks: the same promises through shared memory and over the network."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
import pytest

from flowc_runtime.cluster.exchange import (
    Aborted,
    Inbox,
    Incoming,
    Outgoing,
    Peer,
    PeerLost,
)
from flowc_runtime.cluster.grpc_options import SERVER_OPTIONS
from flowc_runtime.cluster.transport.boxes import SharedOutbox
from flowc_runtime.cluster.transport.exchange import TensorExchange
from flowc_runtime.cluster.transport.folder import Folder, find
from flowc_runtime.cluster.transport.frames import (
    PULL,
    RELEASE,
    BadFrame,
    Request,
    answer_head,
    decode_request,
    encode_request,
)
from flowc_runtime.cluster.transport.serve import pull_handler

WAYS = {"shared memory": True, "network": False}
PATIENT = 20.0


@contextmanager
def serving(shared_memory: bool) -> Iterator[TensorExchange]:
    """An exchange whose server answers on loopback."""
    handler = _Late()
    server = grpc.server(ThreadPoolExecutor(16), handlers=(handler,), options=SERVER_OPTIONS)
    port = server.add_insecure_port("127.0.0.1:0")
    exchange = TensorExchange(f"127.0.0.1:{port}", shared_memory=shared_memory)
    handler.inner = pull_handler(exchange)
    server.start()
    try:
        yield exchange
    finally:
        exchange.close()
        server.stop(None).wait()


class _Late(grpc.GenericRpcHandler):
    """The exchange needs the port, and the server the handler: so it is put in afterwards."""

    inner: grpc.GenericRpcHandler

    def service(self, details: grpc.HandlerCallDetails):  # type: ignore[no-untyped-def]
        return self.inner.service(details)


@dataclass
class Pair:
    """A producer `a` and a consumer `b` of one channel."""

    a: TensorExchange
    b: TensorExchange
    size: int = 1000
    lossy: bool = False

    def open(self, generation: int = 1, patience: float = PATIENT) -> None:
        self.open_producer(generation, patience)
        self.open_consumer(generation, patience)

    def open_producer(self, generation: int = 1, patience: float = PATIENT) -> None:
        out = (Outgoing("c", self.size, ("b",), self.lossy),)
        self.a.open(generation, "a", (self._peer("b", self.b),), out, (), patience)

    def open_consumer(self, generation: int = 1, patience: float = PATIENT) -> None:
        into = (Incoming("c", self.size, "a", ("b",)),)
        self.b.open(generation, "b", (self._peer("a", self.a),), (), into, patience)

    @property
    def inbox(self) -> Inbox:
        return self.b.inbox("c", "a")

    def send(self, sequence: int, value: int | None = None) -> None:
        outbox = self.a.outbox("c")
        outbox.slot(sequence)[:] = sequence if value is None else value
        outbox.publish(sequence, self.size)

    def take(self, sequence: int) -> int:
        payload = self.inbox.fetch(sequence)
        value = int(payload[0])
        assert (payload[: self.size] == value).all()
        self.inbox.release(sequence)
        return value

    def _peer(self, name: str, exchange: TensorExchange) -> Peer:
        return Peer(name, exchange.address, exchange.token)


@pytest.fixture(params=WAYS.values(), ids=list(WAYS))
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with serving(request.param) as a, serving(request.param) as b:
        yield Pair(a, b)


@contextmanager
def meanwhile(work: Callable[[], object]) -> Iterator[list[BaseException]]:
    """Runs something in another thread; what it raised, once the block is over."""
    raised: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    yield raised
    thread.join(PATIENT)
    assert not thread.is_alive()


def test_what_is_published_arrives_in_order(pair: Pair) -> None:
    pair.open()
    with meanwhile(lambda: [pair.send(k) for k in range(50)]) as raised:
        assert [pair.take(k) for k in range(50)] == list(range(50))
    assert raised == []


def test_a_payload_of_several_chunks_arrives_whole(pair: Pair) -> None:
    pair.size = (5 << 20) // 2 + 17
    pair.open()
    content = np.random.default_rng(1).integers(0, 256, pair.size, np.uint8)
    pair.a.outbox("c").slot(0)[:] = content
    pair.a.outbox("c").publish(0, pair.size)
    assert (pair.inbox.fetch(0)[: pair.size] == content).all()


def test_a_slot_is_not_filled_anew_before_it_is_released(pair: Pair) -> None:
    pair.open(patience=0.05)
    pair.send(0)
    pair.send(1)
    with pytest.raises(PeerLost, match="release of `c` number 0"):
        pair.a.outbox("c").slot(2)


def test_a_slot_that_is_released_is_filled_anew(pair: Pair) -> None:
    pair.open()
    pair.send(0)
    pair.send(1)
    assert pair.take(0) == 0
    pair.send(2)
    assert (pair.take(1), pair.take(2)) == (1, 2)


def test_numbers_may_jump_ahead(pair: Pair) -> None:
    pair.open()
    pair.send(0)
    assert pair.take(0) == 0
    pair.send(7)
    assert pair.take(7) == 7


def test_a_producer_that_does_not_come_is_named(pair: Pair) -> None:
    pair.open(patience=0.05)
    with pytest.raises(PeerLost) as caught:
        pair.inbox.fetch(0)
    assert caught.value.peer == "a"


def test_a_consumer_may_begin_a_generation_before_its_producer(pair: Pair) -> None:
    pair.open_consumer()
    with meanwhile(lambda: pair.take(0)) as raised:
        pair.open_producer()
        pair.send(0)
    assert raised == []


def test_abort_wakes_who_waits_for_a_payload(pair: Pair) -> None:
    pair.open()
    with meanwhile(lambda: pair.inbox.fetch(0)) as raised:
        pair.b.abort()
    assert [type(e) for e in raised] == [Aborted]


def test_abort_wakes_who_waits_for_a_slot(pair: Pair) -> None:
    pair.open()
    pair.send(0)
    pair.send(1)
    with meanwhile(lambda: pair.a.outbox("c").slot(2)) as raised:
        pair.a.abort()
    assert [type(e) for e in raised] == [Aborted]


def test_boxes_of_an_earlier_generation_are_aborted(pair: Pair) -> None:
    pair.open(1)
    inbox, outbox = pair.inbox, pair.a.outbox("c")
    pair.open(2)
    for use in (lambda: inbox.fetch(0), lambda: outbox.slot(0)):
        with pytest.raises(Aborted):
            use()


def test_a_payload_of_an_earlier_generation_is_not_taken_for_one_of_this(pair: Pair) -> None:
    pair.open(1)
    pair.send(0, value=5)
    pair.open(2)
    pair.send(0, value=6)
    assert pair.take(0) == 6


def test_what_is_held_is_not_overwritten_while_the_next_is_waited_for(pair: Pair) -> None:
    pair.open(patience=0.3)
    pair.send(0)
    held = pair.inbox.fetch(0)
    pair.send(1)
    pair.inbox.fetch(1)
    with pytest.raises(PeerLost, match="release of `c` number 0"):
        pair.a.outbox("c").slot(2)
    assert (held == 0).all()


def test_a_payload_that_comes_after_its_release_makes_room_for_later_ones(pair: Pair) -> None:
    pair.open()
    pair.inbox.release(3)
    with meanwhile(lambda: [pair.send(k) for k in range(8)]) as raised:
        assert [pair.take(k) for k in range(4, 8)] == [4, 5, 6, 7]
    assert raised == []


def test_late_releases_of_an_earlier_generation_free_no_slot_of_this(served: Pair) -> None:
    for generation in range(1, 13):
        late = encode_request(Request(RELEASE, generation, 100, "b", "c"))
        with grpc.insecure_channel(served.a.address) as channel:
            stream = channel.stream_stream("/flowc.Tensors/Pull")(itertools.repeat(late))
            while released(served) < 0:
                pass
            served.open_producer(generation + 1)
            with pytest.raises(grpc.RpcError):
                list(stream)
        assert released(served) == -1


def released(pair: Pair) -> int:
    outbox = pair.a.outbox("c")
    assert isinstance(outbox, SharedOutbox)
    return outbox.segment.released(0)


def test_what_is_released_while_the_stream_is_broken_is_released_once_it_is_back() -> None:
    a = TensorExchange("", shared_memory=False)
    with serving(False) as b:
        pair = Pair(a, b)
        with answering(a):
            pair.open(patience=5.0)
            pair.send(0)
            pair.send(1)
            while pair.inbox.newest() < 1:
                pair.inbox.ready(0)
        pair.inbox.release(1)
        with answering(a):
            a.outbox("c").slot(2)
            a.close()


@contextmanager
def answering(exchange: TensorExchange) -> Iterator[None]:
    """A server at the address of the exchange, or at a new one."""
    server = grpc.server(ThreadPoolExecutor(8), (pull_handler(exchange),), options=SERVER_OPTIONS)
    port = server.add_insecure_port(exchange.address or "127.0.0.1:0")
    exchange.address = f"127.0.0.1:{port}"
    server.start()
    try:
        yield
    finally:
        server.stop(None).wait()


def test_a_payload_is_read_only(pair: Pair) -> None:
    pair.open()
    pair.send(0)
    assert not pair.inbox.fetch(0).flags.writeable


def test_a_channel_without_consumers_waits_for_nobody() -> None:
    with serving(True) as a:
        a.open(1, "a", (), (Outgoing("c", 10, ()),), (), 0.05)
        for k in range(3):
            a.outbox("c").slot(k)
            a.outbox("c").publish(k, 10)


def test_whoever_releases_too_late_is_named_not_who_was_late_before() -> None:
    with serving(True) as a, serving(True) as b:
        here = Peer("a", a.address, a.token)
        a.open(1, "a", (), (Outgoing("c", 10, ("b", "late")),), (), 0.3)
        b.open(1, "b", (here,), (), (Incoming("c", 10, "a", ("b", "late")),), PATIENT)
        for k in range(2):
            a.outbox("c").slot(k)
            a.outbox("c").publish(k, 10)
        raised: list[PeerLost] = []

        def wait() -> None:
            with pytest.raises(PeerLost) as caught:
                a.outbox("c").slot(2)
            raised.append(caught.value)

        with meanwhile(wait):
            b.inbox("c", "a").fetch(0)
            b.inbox("c", "a").release(0)
        assert [lost.peer for lost in raised] == ["late"]


def test_wait_any_names_a_task_that_does_not_come(pair: Pair) -> None:
    pair.open(patience=0.05)
    with pytest.raises(PeerLost, match="`c` number 3 of a did not come") as caught:
        pair.b.wait_any([(pair.inbox, 3)])
    assert caught.value.peer == "a"


def test_wait_any_finds_what_is_there(pair: Pair) -> None:
    pair.open()
    pair.send(0)
    assert pair.b.wait_any([(pair.inbox, 0)]) == 0


def test_a_lossy_channel_gives_the_newest_payload_and_waits_for_nobody(pair: Pair) -> None:
    pair.lossy = True
    pair.open()
    for k in range(20):
        pair.send(k)
    number, payload = pair.inbox.fetch_newest(3)
    assert (number, int(payload[0])) == (19, 19)


def test_a_lossy_payload_is_never_torn(pair: Pair) -> None:
    pair.lossy, pair.size = True, 200_000
    pair.open()
    with meanwhile(lambda: [pair.send(k, k % 251) for k in range(400)]) as raised:
        at_least = 0
        while at_least < 399:
            number, payload = pair.inbox.fetch_newest(at_least)
            assert number >= at_least and (payload[: pair.size] == number % 251).all()
            at_least = number + 1
    assert raised == []


# --- hostile peers --------------------------------------------------------------------------------


def call(exchange: TensorExchange, frames: list[bytes]) -> grpc.StatusCode:
    with grpc.insecure_channel(exchange.address) as channel:
        stream = channel.stream_stream("/flowc.Tensors/Pull")(iter(frames), timeout=PATIENT)
        with pytest.raises(grpc.RpcError) as caught:
            list(stream)
        return caught.value.code()


@pytest.fixture
def served() -> Iterator[Pair]:
    with serving(False) as a, serving(False) as b:
        pair = Pair(a, b)
        pair.open()
        yield pair


@pytest.mark.parametrize(
    ("frame", "status"),
    [
        (b"", grpc.StatusCode.INVALID_ARGUMENT),
        (b"P" * 5000, grpc.StatusCode.INVALID_ARGUMENT),
        (encode_request(Request(PULL, 0, 0, "b", "c")), grpc.StatusCode.FAILED_PRECONDITION),
        (encode_request(Request(PULL, 1, 0, "x", "c")), grpc.StatusCode.PERMISSION_DENIED),
        (encode_request(Request(PULL, 1, 0, "b", "x")), grpc.StatusCode.PERMISSION_DENIED),
        (encode_request(Request(RELEASE, 0, 0, "b", "c")), grpc.StatusCode.FAILED_PRECONDITION),
    ],
)
def test_a_request_that_is_none_of_ours_is_answered_with_a_status(
    served: Pair, frame: bytes, status: grpc.StatusCode
) -> None:
    assert call(served.a, [frame]) == status


def test_random_requests_disturb_nobody(served: Pair) -> None:
    chance = random.Random(1)
    sound = encode_request(Request(PULL, 1, 0, "b", "c"))
    with meanwhile(lambda: [served.send(k % 2**62) for k in range(30)]) as raised:
        for _ in range(30):
            broken = bytearray(sound)
            broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
            if bytes(broken[:1]) != RELEASE and decodes_as_ours(bytes(broken)):
                continue
            assert call(served.a, [bytes(broken)]) != grpc.StatusCode.OK
        assert [served.take(k) for k in range(30)] == list(range(30))
    assert raised == []


def decodes_as_ours(frame: bytes) -> bool:
    try:
        request = decode_request(frame)
    except BadFrame:
        return False
    return (request.generation, request.consumer, request.channel) == (1, "b", "c") or (
        request.generation > 1  # is waited for
    )


@pytest.mark.parametrize(
    "answers",
    [
        [answer_head("c", -1, 4) + b"data"],
        [answer_head("x", 0, 4) + b"data"],
        [answer_head("c", 0, 1 << 60) + b"data"],
        [answer_head("c", 0, 4) + b"more than four"],
        [b"?"],
    ],
)
def test_a_producer_that_answers_what_was_not_asked_is_named(answers: list[bytes]) -> None:
    def lie(requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        next(requests)
        yield from answers
        list(requests)

    liar = grpc.method_handlers_generic_handler(
        "flowc.Tensors", {"Pull": grpc.stream_stream_rpc_method_handler(lie)})
    server = grpc.server(ThreadPoolExecutor(2), handlers=(liar,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with serving(False) as b:
        into = (Incoming("c", 1000, "a", ("b",)),)
        b.open(1, "b", (Peer("a", f"127.0.0.1:{port}", ""),), (), into, PATIENT)
        with pytest.raises(PeerLost, match="a sends nothing") as caught:
            b.inbox("c", "a").fetch(0)
    server.stop(None).wait()
    assert caught.value.peer == "a"


def test_every_frame_is_read_or_refused() -> None:
    chance = random.Random(2)
    for _ in range(10_000):
        frame = chance.randbytes(chance.randrange(60))
        try:
            assert encode_request(decode_request(frame)) == frame
        except BadFrame:
            pass


# --- folders --------------------------------------------------------------------------------------


def test_a_token_that_is_a_path_finds_nothing() -> None:
    assert find("../../etc") is None
    assert find("0" * 32 + "-1/..") is None


def test_what_a_killed_process_left_in_memory_is_removed_by_the_next() -> None:
    code = (
        "import os, signal\n"
        "from flowc_runtime.cluster.transport.folder import Folder\n"
        "print(Folder().path, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    left = Path(done.stdout.strip())
    assert left.is_dir()
    Folder().close()
    assert not left.exists()
