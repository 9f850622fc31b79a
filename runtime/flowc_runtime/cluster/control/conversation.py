"""A task's end of its conversation with a coordinator: commands in, events out, any thread."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator

from flowc_runtime.cluster.messages import Alive, Command, Configure, Event, Finish, Hello

EVENTS_MAX = 16  # that wait to be sent; pieces of variables have 1 MiB


class Conversation:
    """Lasts from Hello until one of both closes it.

    Commands of a generation that is over are dropped; Configure and Finish call `interrupt` at
    once, before whoever waits in `commands` gets them.
    """

    def __init__(self, hello: Hello):
        self.hello = hello
        self.generation = 0  # the newest that was heard of
        self.interrupt: Callable[[], None] = lambda: None
        self.closed: str | None = None  # why
        self.over = threading.Event()
        self._heard = time.monotonic()
        self._commands: deque[Command] = deque()
        self._events: deque[Event] = deque()
        self._changed = threading.Condition()

    @property
    def silent_seconds(self) -> float:
        """Since the last command."""
        return time.monotonic() - self._heard

    def hear(self, command: Command) -> None:
        self._heard = time.monotonic()
        if isinstance(command, Alive):
            return
        if isinstance(command, Configure):
            if command.generation <= self.generation:
                return
            self.generation = command.generation
        if isinstance(command, (Configure, Finish)):
            self.interrupt()
        with self._changed:
            self._commands.append(command)
            self._changed.notify_all()

    def commands(self) -> Iterator[Command]:
        """Waits for each; ends when the conversation is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._commands or self.closed is not None)
                if self.closed is not None:
                    return
                command = self._commands.popleft()
            if getattr(command, "generation", self.generation) == self.generation:
                yield command

    def tell(self, event: Event, wait: bool = True) -> bool:
        """Queues an event, once there is room; False if the conversation was closed first.

        Without `wait` an event for which there is no room is left out.
        """
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._has_room)
            if self.closed is not None or not self._has_room:
                return False
            self._events.append(event)
            self._changed.notify_all()
            return True

    def events(self) -> Iterator[Event]:
        """Waits for each; ends when the conversation is closed and all is told."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._events or self.closed is not None)
                if not self._events:
                    return
                event = self._events.popleft()
                self._changed.notify_all()
            yield event

    def close(self, why: str) -> None:
        """The first reason is kept. Whatever is under way is interrupted."""
        with self._changed:
            if self.closed is not None:
                return
            self.closed = why
            self.over.set()
            self._changed.notify_all()
        self.interrupt()

    @property
    def _has_room(self) -> bool:
        return len(self._events) < EVENTS_MAX or self.closed is not None
