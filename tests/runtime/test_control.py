"""Conversations: what passes, what is refused, and how either side notices that it is over."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import pytest
from stand_in import Counting, NoExchange, serve

from flowc.cluster.certificates import make
from flowc_runtime.cluster.control import control_pb2
from flowc_runtime.cluster.control.client import PATH, Line, open_channel, probe
from flowc_runtime.cluster.control.codec import (
    Malformed,
    decode_command,
    decode_event,
    encode_command,
    encode_event,
)
from flowc_runtime.cluster.control.credentials import load_credentials
from flowc_runtime.cluster.control.listen import check_listen
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.messages import (
    PROTOCOL,
    Alive,
    Beat,
    Collect,
    Command,
    Configure,
    Configured,
    Counts,
    Done,
    Event,
    Failed,
    Finish,
    Goodbye,
    Hello,
    Load,
    Loaded,
    Member,
    Ready,
    Run,
    Setup,
    Share,
    Values,
    Welcome,
)
from flowc_runtime.cluster.task import Task

CONTROL = Path(control_pb2.__file__).parent
SECONDS = 5.0
ME = Member("worker:0", "", "", 0, 4)
COMMANDS: tuple[Command, ...] = (
    Hello(1, "0.1", "job", "worker:1", 5.0), Setup("plan é", "{}", 3, 1, "native"),
    Configure(4, (ME, ME)), Configure(4, ()), Load(1, 2, "p", 3, b"xx", True), Run(1, 2, 3),
    Collect(1, 2, ("a", "b")), Alive(), Finish(),
)  # fmt: skip
EVENTS: tuple[Event, ...] = (
    Welcome(1, "f", "h", 3, 4, 5, 1.5, "t"), Ready(1, 2, "s"), Configured(1, -1), Loaded(1, 2),
    Done(1, 2, (Share(0, 2, (("loss", 0.5),)),), (Counts("w", 1, 2, 3),), 0.1, 0.2, "x"),
    Values(1, 2, "p", 0, b"", True), Beat(1, "d"), Failed(1, 2, *"abcdefg"), Goodbye(),
)  # fmt: skip


# --- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: type(c).__name__)
def test_a_command_arrives_as_it_was_sent(command: Command) -> None:
    assert decode_command(encode_command(command)) == command


@pytest.mark.parametrize("event", EVENTS, ids=lambda e: type(e).__name__)
def test_an_event_arrives_as_it_was_sent(event: Event) -> None:
    assert decode_event(encode_event(event)) == event


@pytest.mark.parametrize("wire", [b"", b"\xff", b"\x98\x01\x01", encode_event(Goodbye())])
def test_what_is_no_command_is_refused(wire: bytes) -> None:
    with pytest.raises(Malformed):
        decode_command(wire)


def test_a_plan_that_would_fill_the_memory_is_refused() -> None:
    message = control_pb2.Command()
    message.setup.plan = bytes_that_inflate_to(65 << 20)
    with pytest.raises(Malformed, match="larger than 64 MiB"):
        decode_command(message.SerializeToString())


def bytes_that_inflate_to(size: int) -> bytes:
    import zlib

    return zlib.compress(bytes(size))


def test_random_bytes_are_commands_or_refused() -> None:
    choice = random.Random(1)
    known = [encode_command(command) for command in COMMANDS]
    for _ in range(10_000):
        wire = bytearray(choice.choice(known))
        for _ in range(choice.randint(1, 4)):
            wire[choice.randrange(len(wire))] = choice.randrange(256)
        try:
            decode_command(bytes(wire[: choice.randint(0, len(wire))]))
        except Malformed:
            pass


@pytest.mark.skipif(find_spec("grpc_tools") is None, reason="grpcio-tools is not installed")
def test_the_generated_code_is_that_of_the_proto(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{CONTROL}"]
    subprocess.run([*command, f"--python_out={tmp_path}", "control.proto"], check=True)
    assert descriptor_in(tmp_path) == descriptor_in(CONTROL)


def descriptor_in(folder: Path) -> str:
    """The line that says all of the proto; the others depend on the generator's version."""
    lines = (folder / "control_pb2.py").read_text().splitlines()
    return next(line for line in lines if "AddSerializedFile" in line)


# --- conversations -------------------------------------------------------------------------------


class Served:
    """A task on a thread of this process, with the end that it comes to."""

    def __init__(self, keep: bool = False, **settings: Any):
        self.task: Task = serve("127.0.0.1:0", **settings)
        self.address = self.task.address
        self.end: tuple[int, str] | None = None
        self._thread = threading.Thread(target=self._serve, args=(keep,), daemon=True)
        self._thread.start()

    def _serve(self, keep: bool) -> None:
        self.end = self.task.serve(keep)

    def ended(self) -> tuple[int, str]:
        self._thread.join(SECONDS)
        assert self.end is not None
        return self.end


@pytest.fixture
def served() -> Iterator[Callable[..., Served]]:
    all_: list[Served] = []

    def make(**settings: Any) -> Served:
        all_.append(Served(**settings))
        return all_[-1]

    yield make
    for one in all_:
        one.task.close()


class Coordinator:
    """Says commands and hears answers; beats are left out."""

    def __init__(self, address: str, lease: float = 5.0, task: str = "worker:0"):
        self.line = Line(address, None, SECONDS)
        self._events = self.line.events()
        self.line.send(Hello(PROTOCOL, "0", "job", task, lease))

    def hear(self) -> Event:
        return next(event for event in self._events if not isinstance(event, Beat))

    def ask(self, *commands: Command) -> Event:
        for command in commands:
            self.line.send(command)
        return self.hear()

    def hear_beat(self) -> Beat:
        return next(event for event in self._events if isinstance(event, Beat))

    def set_up(self) -> None:
        assert isinstance(self.hear(), Welcome)
        assert isinstance(self.ask(Setup("plan", "", 1, 1, "numpy")), Ready)

    def stand_at(self, generation: int, step: int) -> None:
        assert isinstance(self.ask(Configure(generation, (ME,))), Configured)
        load = Load(generation, step, "w", 0, bytes(4000), True)
        assert self.ask(load) == Loaded(generation, step)


def test_a_task_does_what_its_coordinator_says(served: Callable[..., Served]) -> None:
    task = served()
    coordinator = Coordinator(task.address)
    coordinator.set_up()
    coordinator.stand_at(7, 0)
    done = coordinator.ask(Run(7, 0, 3))
    assert isinstance(done, Done) and done.step == 3
    values = coordinator.ask(Collect(7, 3, ("w",)))
    assert isinstance(values, Values) and not values.last
    while not values.last:
        following = coordinator.hear()
        assert isinstance(following, Values) and following.offset == values.offset + 1024
        values = following
    assert coordinator.ask(Finish()) == Goodbye()
    assert task.ended() == (0, "the job is done")


def test_a_new_generation_ends_the_steps_that_are_under_way(served: Callable[..., Served]) -> None:
    coordinator = Coordinator(served().address)
    coordinator.set_up()
    coordinator.stand_at(7, 0)
    answer = coordinator.ask(Run(7, 0, 1_000_000), Configure(8, (ME,)))
    assert isinstance(answer, Configured) and answer.generation == 8


def test_commands_of_a_generation_that_is_over_are_ignored(served: Callable[..., Served]) -> None:
    coordinator = Coordinator(served().address)
    coordinator.set_up()
    coordinator.stand_at(7, 0)
    coordinator.line.send(Run(6, 0, 5))
    coordinator.line.send(Configure(5, (ME,)))
    done = coordinator.ask(Run(7, 0, 2))
    assert isinstance(done, Done) and (done.generation, done.step) == (7, 2)


def test_a_step_that_fails_says_where(served: Callable[..., Served]) -> None:
    coordinator = Coordinator(served().address)
    assert isinstance(coordinator.hear(), Welcome)
    assert isinstance(coordinator.ask(Setup("plan", "fail 2", 1, 1, "numpy")), Ready)
    coordinator.stand_at(7, 0)
    failed = coordinator.ask(Run(7, 0, 5))
    assert isinstance(failed, Failed) and (failed.code, failed.at) == ("not-finite", "m.flow:1:2")


def test_an_error_that_nobody_foresaw_is_told_as_a_bug(
    served: Callable[..., Served], capfd: pytest.CaptureFixture[str]
) -> None:
    coordinator = Coordinator(served().address)
    coordinator.set_up()
    coordinator.stand_at(7, 0)
    failed = coordinator.ask(Run(7, 4, 5))
    assert isinstance(failed, Failed) and failed.code == "task-bug"
    assert failed.message == "ValueError: stands at 0, not at 4"
    assert "Traceback" in capfd.readouterr().err


def test_a_task_beats_while_it_works(served: Callable[..., Served]) -> None:
    coordinator = Coordinator(served().address)
    coordinator.set_up()
    coordinator.stand_at(7, 0)
    coordinator.line.send(Run(7, 0, 1_000_000))
    while coordinator.hear_beat().doing != "counting":
        pass
    assert coordinator.hear_beat().step > 0


def test_a_second_coordinator_is_refused_until_the_first_is_gone(
    served: Callable[..., Served],
) -> None:
    task = served(keep=True)
    first = Coordinator(task.address)
    first.set_up()
    second = Coordinator(task.address)
    with pytest.raises(ClusterError, match="another coordinator") as refused:
        second.hear()
    assert refused.value.code == "task-busy"
    first.line.close()
    while True:
        try:
            Coordinator(task.address).set_up()
            return
        except ClusterError as busy:
            assert busy.code == "task-busy"


def test_a_task_ends_when_its_coordinator_hangs_up(served: Callable[..., Served]) -> None:
    task = served()
    coordinator = Coordinator(task.address)
    coordinator.set_up()
    coordinator.stand_at(7, 0)
    coordinator.line.send(Run(7, 0, 1_000_000))
    coordinator.hear_beat()
    coordinator.line.close()
    assert task.ended() == (69, "the coordinator has gone")


def test_a_task_ends_when_it_hears_nothing_for_its_lease(served: Callable[..., Served]) -> None:
    task = served()
    coordinator = Coordinator(task.address, lease=0.3)
    coordinator.set_up()
    assert task.ended() == (69, "nothing was heard of the coordinator for 0.3 s")


def test_a_body_that_does_not_come_to_an_end_is_ended(served: Callable[..., Served]) -> None:
    released, exits = threading.Event(), []

    class Stuck(Counting):
        def run(self, command: Run) -> Done | Failed:
            released.wait()
            return super().run(command)

    def end_process(status: int) -> None:
        exits.append(status)
        released.set()

    task = Task("127.0.0.1:0", Stuck, lambda address: (NoExchange(address), None),
                end_process=end_process)  # fmt: skip
    thread = threading.Thread(target=task.serve, args=(False,))
    thread.start()
    coordinator = Coordinator(task.address)
    coordinator.set_up()
    coordinator.stand_at(7, 0)
    coordinator.line.send(Run(7, 0, 1))
    coordinator.hear_beat()
    coordinator.line.close()
    thread.join(SECONDS)
    task.close()
    assert exits == [69]


# --- those who are no coordinators ----------------------------------------------------------------


@pytest.mark.parametrize("first", [b"", b"\xff\xff", encode_command(Alive())])
def test_who_does_not_begin_with_hello_is_sent_away(
    served: Callable[..., Served], first: bytes
) -> None:
    with open_channel(served().address, None) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            list(channel.stream_stream(PATH)(iter([first])))
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_malformed_command_ends_the_conversation(served: Callable[..., Served]) -> None:
    task = served()
    hello = encode_command(Hello(PROTOCOL, "0", "job", "worker:0", 5.0))
    with open_channel(task.address, None) as channel:
        with pytest.raises(grpc.RpcError) as refused:
            list(channel.stream_stream(PATH)(iter([hello, b"\xff\xff"])))
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert task.ended()[0] == 69


def test_strangers_do_not_disturb_a_training(served: Callable[..., Served]) -> None:
    task = served()
    coordinator = Coordinator(task.address)
    coordinator.set_up()
    coordinator.stand_at(7, 0)
    choice = random.Random(2)
    with open_channel(task.address, None) as channel:
        for _ in range(200):
            wires = [choice.randbytes(choice.randint(0, 40)) for _ in range(2)]
            with pytest.raises(grpc.RpcError):
                list(channel.stream_stream(PATH)(iter(wires)))
        too_long = encode_command(Load(7, 0, "w", 0, bytes(5 << 20), True))
        with pytest.raises(grpc.RpcError):
            list(channel.stream_stream(PATH)(iter([too_long])))
    done = coordinator.ask(Run(7, 0, 3))
    assert isinstance(done, Done) and done.step == 3


def test_two_workers_cannot_listen_at_the_same_port(served: Callable[..., Served]) -> None:
    with pytest.raises(ClusterError, match="cannot listen") as refused:
        serve(served().address)
    assert refused.value.code == "listen-failed"


# --- looking at a task from outside -------------------------------------------------------------


def test_a_task_says_who_it_is_while_it_works(served: Callable[..., Served]) -> None:
    task = served()
    Coordinator(task.address).set_up()
    assert probe(task.address, None, SECONDS).protocol == PROTOCOL


def code_of(address: str, folder: Path | None = None, seconds: float = SECONDS) -> str:
    with pytest.raises(ClusterError) as unusable:
        probe(address, load_credentials(folder) if folder else None, seconds)
    return unusable.value.code


def test_a_host_whose_name_does_not_resolve_is_told_as_such() -> None:
    assert code_of("no-such-host.invalid:2222") == "host-unknown"


def test_a_port_at_which_nothing_listens_is_told_as_such() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert code_of(f"127.0.0.1:{port}") == "host-refused"


def test_a_server_that_says_nothing_is_told_as_such() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert code_of(f"127.0.0.1:{server.getsockname()[1]}", seconds=0.2) == "host-unreachable"


def test_a_server_of_something_else_is_told_as_such() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            with suppress(OSError):  # whoever asks may hang up at any time
                for _ in range(2):
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(4096)
                        connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        assert code_of(f"127.0.0.1:{server.getsockname()[1]}") == "host-not-flowc"


def test_another_grpc_server_is_told_as_such() -> None:
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert code_of(f"127.0.0.1:{port}") == "host-not-flowc"
    server.stop(None)


def test_a_task_of_another_version_is_told_as_such(
    served: Callable[..., Served], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowc_runtime.cluster.control.server.PROTOCOL", 99)
    assert code_of(served().address) == "host-other-version"


# --- certificates ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders, of two clusters that do not know each other."""
    folders = tmp_path_factory.mktemp("mine"), tmp_path_factory.mktemp("others")
    return tuple(made(folder / "certs") for folder in folders)  # type: ignore[return-value]


def made(folder: Path) -> Path:
    make(folder, ())
    return folder


def test_peers_of_one_cluster_accept_each_other(
    served: Callable[..., Served], certificates: tuple[Path, Path]
) -> None:
    mine = load_credentials(certificates[0])
    assert probe(served(credentials=mine).address, mine, SECONDS).protocol == PROTOCOL


def test_peers_without_our_certificates_are_refused_and_told_so(
    served: Callable[..., Served], certificates: tuple[Path, Path]
) -> None:
    mine, others = certificates
    secure, plain = served(credentials=load_credentials(mine)), served()
    assert code_of(secure.address) == "host-unauthenticated"
    assert code_of(secure.address, others) == "host-unauthenticated"
    assert code_of(plain.address, mine) == "host-unauthenticated"


def test_a_hundred_strangers_are_refused(
    served: Callable[..., Served], certificates: tuple[Path, Path]
) -> None:
    mine, others = (load_credentials(folder) for folder in certificates)
    task = served(credentials=mine)
    hello = encode_command(Hello(PROTOCOL, "0", "job", "worker:0", 5.0))
    for number in range(100):
        with open_channel(task.address, others if number % 2 else None) as channel:
            with pytest.raises(grpc.RpcError) as refused:
                list(channel.stream_stream(PATH)(iter([hello])))
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert probe(task.address, mine, SECONDS).protocol == PROTOCOL


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    folder = made(tmp_path / "certs")
    (folder / "key.pem").chmod(0o640)
    with pytest.raises(ClusterError, match="can be read by other users") as refused:
        load_credentials(folder)
    assert refused.value.code == "tls-key-readable"


def test_certificates_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="key.pem: no such file") as missing:
        load_credentials(tmp_path)
    assert missing.value.code == "tls-missing"


@pytest.mark.parametrize(
    ("address", "insecure", "code"),
    [
        ("127.0.0.1:0", False, None),
        ("localhost:0", False, None),
        ("[::1]:0", False, None),
        ("0.0.0.0:0", False, "listen-insecure"),
        ("0.0.0.0:0", True, None),
        ("10.1.2.3:2222", False, "listen-insecure"),
        ("2222", False, "listen-failed"),
        ("127.0.0.1:70000", False, "listen-failed"),
    ],
)
def test_other_machines_get_in_only_with_certificates_or_by_wish(
    address: str, insecure: bool, code: str | None
) -> None:
    try:
        assert check_listen(address, None, insecure) is None
        assert code is None
    except ClusterError as error:
        assert error.code == code
