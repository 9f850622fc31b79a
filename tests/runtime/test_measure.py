"""Measuring a link: a task's server sends idle bytes, and the other end takes the time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from flowc_runtime.cluster.measure import (
    CHUNK_BYTES,
    CHUNKS,
    METHOD,
    SERVICE,
    measure,
    measure_handler,
)


@pytest.fixture
def address() -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers((measure_handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_a_link_within_this_machine_is_measured(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        rate = measure(channel, 0.5)
    assert rate is not None and 1e7 < rate < 1e11


def test_one_call_brings_no_more_than_its_chunks(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        sizes = [len(c) for c in channel.unary_stream(f"/{SERVICE}/{METHOD}")(b"", timeout=10)]
    assert sizes == [CHUNK_BYTES] * CHUNKS


def test_where_nobody_serves_it_the_call_fails() -> None:
    with grpc.insecure_channel("127.0.0.1:1") as channel, pytest.raises(grpc.RpcError):
        measure(channel, 0.2)
