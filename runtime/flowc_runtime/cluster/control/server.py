"""A task's server: answers to coordinators one at a time, and to whoever only asks who it is."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import grpc

from flowc_runtime.cluster.control.codec import Malformed, decode_command, encode_event
from flowc_runtime.cluster.control.conversation import Conversation
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.grpc_options import SERVER_OPTIONS, STREAMS_MAX
from flowc_runtime.cluster.messages import PROTOCOL, Hello, Welcome
from flowc_runtime.cores import usable_cores

if TYPE_CHECKING:
    from flowc_runtime.cluster.control.credentials import Credentials

SERVICE, METHOD = "flowc.Control", "Converse"
HELLO_SECONDS = 5.0  # who says nothing for so long is sent away
FLOWC = version("flowc")


class ControlService:
    """Takes calls; `accept` gives the conversations that are to be led, one after the other."""

    def __init__(self) -> None:
        self._accepted: queue.SimpleQueue[Conversation | None] = queue.SimpleQueue()
        self._current: Conversation | None = None
        self._lock = threading.Lock()

    def accept(self) -> Conversation | None:
        """Waits for a coordinator; None after `stop`. Others are refused until `release`."""
        return self._accepted.get()

    def stop(self, why: str) -> None:
        """Any thread: ends the conversation that is led, and there will be no other one."""
        with self._lock:
            current = self._current
        if current is not None:
            current.close(why)
        self._accepted.put(None)

    def release(self) -> None:
        with self._lock:
            self._current = None

    def handler(self) -> grpc.GenericRpcHandler:
        stream = grpc.stream_stream_rpc_method_handler(self._converse)
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: stream})

    def _converse(
        self, requests: Iterator[bytes], context: grpc.ServicerContext
    ) -> Iterator[bytes]:
        hello = _hello(requests, context)
        if not hello.task or hello.protocol != PROTOCOL:
            yield encode_event(welcome(""))  # the other side decides whether it can do with that
            return
        conversation = Conversation(hello)
        if not self._claim(conversation):
            context.abort(
                grpc.StatusCode.FAILED_PRECONDITION, "busy: it serves another coordinator")
        if not context.add_callback(lambda: conversation.close("the coordinator has gone")):
            conversation.close("the coordinator has gone")
        wrong: list[str] = []
        reader = threading.Thread(
            target=_read, args=(requests, conversation, wrong), name="commands", daemon=True)
        reader.start()
        self._accepted.put(conversation)
        for event in conversation.events():
            yield encode_event(event)
        if wrong:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, wrong[0])

    def _claim(self, conversation: Conversation) -> bool:
        with self._lock:
            if self._current is not None:
                return False
            self._current = conversation
            return True


def welcome(token: str) -> Welcome:
    """Who this task is."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Welcome(
        PROTOCOL, FLOWC, socket.gethostname(), os.getpid(), usable_cores(), memory, time.time(),
        token)


def start_server(
    address: str, credentials: Credentials | None, handlers: tuple[Any, ...]
) -> tuple[grpc.Server, int]:
    """Listens and answers; the server and its port. ClusterError `listen-failed`."""
    server = grpc.server(
        ThreadPoolExecutor(STREAMS_MAX, thread_name_prefix="grpc"),
        handlers=handlers, options=SERVER_OPTIONS, maximum_concurrent_rpcs=STREAMS_MAX,
    )  # fmt: skip
    try:
        if credentials is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials.server())
    except RuntimeError:
        port = 0
    if not port:
        raise ClusterError(
            "listen-failed", f"cannot listen at {address}",
            "another program may do so already (another worker?), or the address is not one of "
            "this machine's",
        )  # fmt: skip
    server.start()
    return server, port


def _hello(requests: Iterator[bytes], context: grpc.ServicerContext) -> Hello:
    """The first message; the call is aborted for any other, and where none comes."""
    patience = threading.Timer(HELLO_SECONDS, context.cancel)
    patience.daemon = True
    patience.start()
    try:
        first = decode_command(next(requests))
        if isinstance(first, Hello):
            return first
    except StopIteration:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "no Hello")
    except Malformed as reason:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(reason))
    finally:
        patience.cancel()
    context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first message must be Hello")
    raise AssertionError("abort raises")


def _read(requests: Iterator[bytes], conversation: Conversation, wrong: list[str]) -> None:
    """Passes commands on until the stream ends; into `wrong` goes what was no command."""
    why = "the coordinator has gone"
    try:
        for wire in requests:
            conversation.hear(decode_command(wire))
    except Malformed as reason:
        why = f"the coordinator sent what is no command: {reason}"
        wrong.append(str(reason))
    except Exception:
        pass  # gRPC raises a bare Exception where the connection broke or the call was cancelled
    conversation.close(why)
