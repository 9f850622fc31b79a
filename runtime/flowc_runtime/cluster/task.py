"""The process of a task: serves one coordinator after the other, or one and then ends."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from flowc_runtime.cluster.control.conversation import Conversation
from flowc_runtime.cluster.control.credentials import Credentials
from flowc_runtime.cluster.control.server import ControlService, start_server, welcome
from flowc_runtime.cluster.exchange import Aborted, Exchange, PeerLost
from flowc_runtime.cluster.messages import (
    Beat,
    Collect,
    Command,
    Configure,
    Configured,
    Done,
    Event,
    Failed,
    Finish,
    Goodbye,
    Load,
    Loaded,
    Ready,
    Run,
    Setup,
    Values,
)

BEAT_SECONDS = 0.5
LAST_WORDS_SECONDS = 2.0  # for the body to come to an end when its coordinator is gone
FINISHED, LEFT_ALONE = 0, 69


class TaskBody(Protocol):
    """What a task does. One thread calls all but `interrupt` and `progress`.

    What goes wrong is raised: with attributes `code`, `message`, `help` where the user should
    know why.
    """

    @property
    def progress(self) -> tuple[int, str]:
        """The last step that is done, and what the task is at."""

    def setup(self, command: Setup, me: str) -> Ready: ...
    def configure(self, command: Configure) -> Configured: ...
    def load(self, command: Load) -> Loaded | None: ...

    def run(self, command: Run) -> Done | Failed:
        """Raises Aborted when interrupted, PeerLost."""
        ...

    def collect(self, command: Collect) -> Iterator[Values]: ...

    def interrupt(self) -> None:
        """Any thread: whatever waits, or will wait before the next `configure`, is Aborted."""

    def close(self) -> None: ...


MakeBody = Callable[[Exchange], TaskBody]
# An exchange for a task at an address, and the handler that answers pulls from it.
MakeExchange = Callable[[str], tuple[Exchange, Any]]


class Task:
    """Listens from the moment it is made; `serve` leads the conversations.

    `end_process` is called with an exit status where a body does not come to an end in time.
    """

    def __init__(
        self,
        listen: str,
        make_body: MakeBody,
        make_exchange: MakeExchange,
        credentials: Credentials | None = None,
        more_handlers: tuple[Any, ...] = (),
        end_process: Callable[[int], object] = os._exit,
    ):
        self._make_body = make_body
        self._make_exchange = make_exchange
        self._end_process = end_process
        self._stopped = ""
        self._service = ControlService()
        self._pulls = _CurrentHandler()
        handlers = (self._service.handler(), self._pulls, *more_handlers)
        self._server, self.port = start_server(listen, credentials, handlers)
        self.address = f"{listen.rpartition(':')[0]}:{self.port}"

    def serve(self, keep: bool) -> tuple[int, str]:
        """Leads a conversation, or with `keep` all that come; exit status and last words."""
        while True:
            conversation = self._service.accept()
            if conversation is None:
                return LEFT_ALONE, self._stopped
            self._lead(conversation)
            self._service.release()
            if not keep or self._stopped:
                why = conversation.closed or ""
                return (FINISHED if why == _END else LEFT_ALONE), why

    def stop(self, why: str) -> None:
        """Any thread: `serve` comes to an end soon, or else the process does."""
        self._stopped = why
        self._service.stop(why)
        patience = threading.Timer(LAST_WORDS_SECONDS, self._end_process, (LEFT_ALONE,))
        patience.daemon = True
        patience.start()

    def close(self) -> None:
        self._server.stop(None)

    def _lead(self, conversation: Conversation) -> None:
        exchange, self._pulls.handler = self._make_exchange(self.address)
        body = self._make_body(exchange)
        conversation.interrupt = body.interrupt
        beats = _Beats(conversation, body, self._end_process)
        conversation.tell(welcome(exchange.token))
        beats.start()
        try:
            for command in conversation.commands():
                _obey(body, conversation, command)
        finally:
            conversation.close("the task has ended")
            self._pulls.handler = None
            body.close()
            exchange.close()
            beats.finish()


_END = "the job is done"


def _obey(body: TaskBody, conversation: Conversation, command: Command) -> None:
    if isinstance(command, Finish):
        conversation.tell(Goodbye())
        conversation.close(_END)
        return
    try:
        for event in _answers(body, conversation.hello.task, command):
            conversation.tell(event)
    except Aborted:
        pass  # a later command says what comes instead
    except Exception as error:
        generation = getattr(command, "generation", 0)
        conversation.tell(_failed(error, generation, body.progress[0]))


def _answers(body: TaskBody, me: str, command: Command) -> Iterator[Event]:
    match command:
        case Setup():
            yield body.setup(command, me)
        case Configure():
            yield body.configure(command)
        case Load():
            loaded = body.load(command)
            if loaded is not None:
                yield loaded
        case Run():
            yield body.run(command)
        case Collect():
            yield from body.collect(command)


def _failed(error: Exception, generation: int, step: int) -> Failed:
    """What the coordinator is told; an error without a code is a bug, and shown here as well."""
    code, message, help, peer = "task-bug", f"{type(error).__name__}: {error}", "", ""
    if isinstance(error, PeerLost):
        code, message, peer = "peer-lost", str(error), error.peer
    elif isinstance(error, MemoryError):
        code, message = "task-memory", str(error) or "out of memory"
    elif isinstance(getattr(error, "code", None), str):
        code, message = error.code, getattr(error, "message", str(error))  # type: ignore[attr-defined]
        help = getattr(error, "help", None) or ""
    else:
        traceback.print_exception(error, file=sys.stderr)
    return Failed(generation, step, code, message, help, "", "", "", peer)


class _CurrentHandler:
    """Answers pulls from the exchange of the conversation that is led now."""

    def __init__(self) -> None:
        self.handler: Any = None

    def service(self, details: Any) -> Any:
        handler = self.handler
        return None if handler is None else handler.service(details)


class _Beats:
    """Says that the task lives, and ends the conversation when its coordinator does not."""

    def __init__(
        self, conversation: Conversation, body: TaskBody, end_process: Callable[[int], object]
    ):
        self._conversation = conversation
        self._body = body
        self._end_process = end_process
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beats", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finish(self) -> None:
        self._finished.set()
        self._thread.join()

    def _run(self) -> None:
        conversation, lease = self._conversation, self._conversation.hello.lease_seconds
        while not conversation.over.is_set():
            conversation.tell(Beat(*self._body.progress), wait=False)
            conversation.over.wait(BEAT_SECONDS)
            if conversation.silent_seconds > lease:
                conversation.close(f"nothing was heard of the coordinator for {lease:g} s")
        if not self._finished.wait(LAST_WORDS_SECONDS):
            self._end_process(LEFT_ALONE)
