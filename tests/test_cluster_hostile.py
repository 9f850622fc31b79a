"""Strangers and hostile messages at a worker whose training goes on: refused, and nothing changes.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from cluster_runs import (
    Training,
    Worker,
    cluster_file,
    finished,
    resident_bytes,
    small_model,
    training,
    workers,
)

from flowc.cluster.certificates import make
from flowc_runtime.cluster.control.client import PATH as CONTROL
from flowc_runtime.cluster.control.client import open_channel, probe
from flowc_runtime.cluster.control.codec import encode_command
from flowc_runtime.cluster.control.credentials import Credentials, load_credentials
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.messages import PROTOCOL, Collect, Finish, Hello, Load, Run, Setup
from flowc_runtime.cluster.transport.frames import PULL, Request, encode_request

PULLS = "/flowc.Tensors/Pull"
ROLES = ("worker", "worker", "ps")
ENDLESS = 100_000  # steps; the training is stopped by a signal
GROWTH_MAX_BYTES = 64 << 20
SECONDS = 20.0

HELLO = Hello(PROTOCOL, "0.1.0", "another job", "worker:0", 5.0)
COMMANDS = [
    encode_command(command) for command in (
        Setup("{}", "{}", 1, 1, "numpy"), Load(1, 1, "w", 0, bytes(100), True), Run(1, 0, 5),
        Collect(1, 1, ("w",)), Finish(), HELLO)
]  # fmt: skip


class Attacked:
    """A training over mutually known certificates, and strangers at its first worker."""

    def __init__(self, run: Training, worker: Worker, certificates: Path):
        self.run = run
        self.address = worker.address
        self.pid = worker.pid
        self.insider = load_credentials(certificates)

    def alive(self) -> None:
        """The training makes another step."""
        step = max((e["step"] for e in self.run.events if e["event"] == "step"), default=0)
        self.run.until_step(step + 1)


@pytest.fixture
def attacked(tmp_path: Path) -> Iterator[Attacked]:
    certificates = tmp_path / "certificates"
    make(certificates, [])
    model = small_model(tmp_path, ENDLESS, ENDLESS)
    log = tmp_path / "tasks.log"
    started = [
        Worker(log, "127.0.0.1:0", "--tls", certificates, "--root", tmp_path) for _ in ROLES]
    with workers(*started):
        hosts = cluster_file(
            tmp_path / "hosts.yaml", [w.address for w in started], ROLES,
            f"security: {{tls: {certificates}}}")
        with training(model, "--cluster", hosts) as run:
            run.until_step(10)
            yield Attacked(run, started[0], certificates)


@pytest.fixture
def other_ca(tmp_path: Path) -> Credentials:
    make(tmp_path / "others", [])
    return load_credentials(tmp_path / "others")


def unchanged(attacked: Attacked) -> None:
    """The training goes on, and has the weights of a process to which nothing has happened."""
    attacked.alive()
    attacked.run.process.terminate()
    assert attacked.run.status() == 75, attacked.run.errors
    end = attacked.run.events[-1]
    assert attacked.run.warnings == []
    model = small_model(attacked.run.out.parent, end["step"], ENDLESS)
    alone = finished(model, "--steps", str(end["step"]), out=attacked.run.out.parent / "alone")
    assert end["weights_sha256"] == alone["weights_sha256"]


def test_strangers_are_refused_and_that_is_told_apart_from_down(
    attacked: Attacked, other_ca: Credentials
) -> None:
    for stranger in (None, other_ca):
        with pytest.raises(ClusterError) as refused:
            probe(attacked.address, stranger, SECONDS)
        assert refused.value.code == "host-unauthenticated"
    with pytest.raises(ClusterError) as down:
        probe("127.0.0.1:1", attacked.insider, SECONDS)
    assert down.value.code == "host-refused"
    accepted = [k for k in range(100) if served(attacked, other_ca if k % 2 else None)]
    assert accepted == []
    unchanged(attacked)


def served(attacked: Attacked, stranger: Credentials | None) -> bool:
    """Whether a stranger gets any answer."""
    with open_channel(attacked.address, stranger) as channel:
        try:
            list(channel.stream_stream(CONTROL)(iter([encode_command(HELLO)]), timeout=SECONDS))
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE
            return False
    return True


@pytest.mark.parametrize("count", [500, pytest.param(10_000, marks=pytest.mark.soak)])
def test_malformed_messages_change_nothing(attacked: Attacked, count: int) -> None:
    """From one who has a certificate: half of them as commands, half as requests for tensors."""
    rng = random.Random(3)
    with open_channel(attacked.address, attacked.insider) as channel:
        control, pulls = channel.stream_stream(CONTROL), channel.stream_stream(PULLS)
        for _ in range(100):  # whatever the worker keeps for streams, it keeps by then
            refused(control, command(rng))
            refused(pulls, frame(rng))
        before = resident_bytes(attacked.pid)
        for _ in range(count // 2):
            refused(control, command(rng))
            refused(pulls, frame(rng))
        assert resident_bytes(attacked.pid) - before < GROWTH_MAX_BYTES
    unchanged(attacked)


def refused(method: grpc.StreamStreamMultiCallable, wire: bytes) -> None:
    try:
        answers = list(method(iter([wire]), timeout=SECONDS))
    except grpc.RpcError as error:
        assert error.code() in (
            grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION,
            grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.RESOURCE_EXHAUSTED,
        ), (error.code(), error.details(), wire)
        return
    raise AssertionError(f"{wire!r} was answered: {answers}")


def command(rng: random.Random) -> bytes:
    """Random bytes, a command that lacks its end, or one that is not due from a stranger."""
    whole = rng.choice(COMMANDS)
    match rng.randrange(4):
        case 0:
            return b"\xff" + rng.randbytes(rng.randrange(200))
        case 1:
            return whole[: rng.randrange(1, len(whole))] + b"\xff"
        case 2:
            return rng.randbytes(rng.randrange(2, 4096)) + b"\xff\xff"
    return whole


def frame(rng: random.Random) -> bytes:
    """Random bytes, lengths that lie, another generation, a channel that nobody has."""
    request = Request(PULL, rng.randrange(1, 1000), rng.randrange(-5, 5), "worker:1", "nothing")
    whole = encode_request(request)
    match rng.randrange(4):
        case 0:
            return rng.randbytes(rng.randrange(1500))
        case 1:
            return whole[: rng.randrange(len(whole))]
        case 2:
            lengths = struct.pack("<HH", rng.randrange(1 << 16), rng.randrange(1 << 16))
            return whole[:17] + lengths + whole[21:]
    return whole
