"""The coordinator's end of a conversation with a task."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from flowc_runtime.cluster.control.codec import Malformed, decode_event, encode_command
from flowc_runtime.cluster.control.reach import knock
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.grpc_options import CHANNEL_OPTIONS
from flowc_runtime.cluster.messages import PROTOCOL, Command, Event, Hello, Welcome

if TYPE_CHECKING:
    import grpc

    from flowc_runtime.cluster.control.credentials import Credentials

PATH = "/flowc.Control/Converse"
LOOK = Hello(PROTOCOL, version("flowc"), "", "", 0.0)


def open_channel(address: str, credentials: Credentials | None) -> grpc.Channel:
    """Connects when it is first used."""
    import grpc

    if credentials is None:
        return grpc.insecure_channel(address, CHANNEL_OPTIONS)
    return grpc.secure_channel(address, credentials.channel(), CHANNEL_OPTIONS)


class Line:
    """One conversation; ClusterError `host-…` where nobody fit answers within `seconds`.

    Any thread sends; one iterates over `events`.
    """

    def __init__(self, address: str, credentials: Credentials | None, seconds: float):
        knock(address, credentials, seconds)
        self._address = address
        self._channel = open_channel(address, credentials)
        self._outgoing: queue.SimpleQueue[Command | Iterable[Command] | None] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._call = self._channel.stream_stream(PATH)(self._wires())

    def send(self, command: Command | Iterable[Command]) -> None:
        """Queues a command, or several that are made when the line has room for them."""
        self._outgoing.put(command)

    def events(self) -> Iterator[Event]:
        """Until the line is closed, or the task ends the conversation.

        Raises ClusterError where the task refuses to talk, ConnectionError where the line breaks.
        """
        import grpc

        try:
            for wire in self._call:
                yield decode_event(wire)
        except Malformed as error:
            raise _other_version(self._address, str(error)) from error
        except grpc.RpcError as error:
            if not self._closed.is_set():
                raise _reason(error, self._address) from error

    def close(self, gracefully: bool = False) -> None:
        """Ends the conversation; gracefully: when all that was sent has gone out."""
        self._closed.set()
        self._outgoing.put(None)
        if not gracefully:
            self._call.cancel()
            self._channel.close()

    def _wires(self) -> Iterator[bytes]:
        while (entry := self._outgoing.get()) is not None:
            if isinstance(entry, Iterable):
                yield from map(encode_command, entry)
            else:
                yield encode_command(entry)


def probe(address: str, credentials: Credentials | None, seconds: float) -> Welcome:
    """Asks a task who it is, whatever it is at. ClusterError `host-…`, in six kinds."""
    line = Line(address, credentials, seconds)
    patience = threading.Timer(seconds, line.close)
    patience.start()
    try:
        line.send(LOOK)
        for event in line.events():
            if isinstance(event, Welcome):
                return greeted(event, address)
    except ConnectionError as error:
        raise ClusterError("host-unreachable", f"{address} hung up: {error}") from error
    finally:
        patience.cancel()
        with contextlib.suppress(Exception):
            line.close()
    raise ClusterError(
        "host-unreachable", f"{address} takes connections, but does not answer in {seconds:g} s")


def greeted(welcome: Welcome, address: str) -> Welcome:
    """The same, if this version can talk to it; ClusterError `host-other-version`."""
    if welcome.protocol != PROTOCOL:
        raise _other_version(
            address, f"flowc {welcome.flowc} there speaks version {welcome.protocol}, this flowc "
            f"{LOOK.flowc} speaks version {PROTOCOL}")  # fmt: skip
    return welcome


def _other_version(address: str, what: str) -> ClusterError:
    return ClusterError(
        "host-other-version", f"{address} speaks another version of the protocol: {what}",
        f'install the same version on all hosts: pip install "flowc=={LOOK.flowc}"',
    )  # fmt: skip


def _reason(error: grpc.RpcError, address: str) -> Exception:
    import grpc

    code, details = error.code(), error.details() or ""
    if code == grpc.StatusCode.UNIMPLEMENTED:
        return ClusterError("host-not-flowc", f"what listens at {address} is no flowc worker")
    if code == grpc.StatusCode.FAILED_PRECONDITION:
        return ClusterError(
            "task-busy", f"the worker at {address} serves another coordinator",
            "end the other training, or wait some seconds if its coordinator has just ended")
    if code == grpc.StatusCode.INVALID_ARGUMENT:
        return _other_version(address, details)
    return ConnectionError(details or code.name.lower().replace("_", " "))
