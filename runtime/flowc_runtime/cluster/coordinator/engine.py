"""The coordinator at work: the shell around the machine, with lines, clock, threads and values."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from typing import TypeVar

import numpy as np

from flowc_runtime.checkpoint.manifest import Position
from flowc_runtime.cluster.control.credentials import Credentials
from flowc_runtime.cluster.coordinator.events import (
    Action,
    Advance,
    Advanced,
    Began,
    Begin,
    Event,
    Fail,
    Job,
    KeepValues,
    Kill,
    Limits,
    LoadValues,
    Notice,
    Send,
    Settle,
    Settled,
    Start,
    Stop,
    Stopped,
    Tick,
)
from flowc_runtime.cluster.coordinator.layout import layout_of
from flowc_runtime.cluster.coordinator.life import Life
from flowc_runtime.cluster.coordinator.machine import Machine
from flowc_runtime.cluster.coordinator.outputs import outputs_of
from flowc_runtime.cluster.coordinator.values import AtHand
from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.launch import Launcher, Place
from flowc_runtime.cluster.messages import Counts, Failed
from flowc_runtime.cluster.plan import ClusterPlan
from flowc_runtime.device import ExecutionError, NonFinite
from flowc_runtime.events import Gradients, Warning
from flowc_runtime.training.engine import Stepped

TICK_SECONDS = 0.1
CLOSE_SECONDS = 5.0

Array = np.ndarray
Answer = TypeVar("Answer", Began, Advanced, Settled, Stopped)


class ClusterEngine:
    """An engine whose steps are done by tasks; close it when the training is over.

    `variables` are the live views of the coordinator's session by path: tasks begin with these
    values, and `settle` puts theirs there. `notices` is called in the thread that drives the
    engine. Raises ClusterError where the cluster fails, ExecutionError and NonFinite where a
    step does.
    """

    def __init__(
        self,
        plan: ClusterPlan,
        plan_text: str,
        data_json: str,
        seed: int,
        threads: int,
        backend: str,
        tasks: Sequence[Place],
        launcher: Launcher,
        credentials: Credentials | None,
        variables: Mapping[str, Array],
        notices: Callable[[Warning | Gradients], None],
        step_seconds: float | None = None,
        limits: Limits | None = None,
    ):
        flowc = version("flowc")
        patient = frozenset(place.task for place in tasks if place.start == "none")
        job = Job(
            flowc, secrets.token_hex(8), plan_text, data_json, seed, threads, backend, patient)
        # Tasks that live on know generations of earlier coordinators: the clock is past them all.
        self._machine = Machine(layout_of(plan), job, limits, step_seconds, int(time.time()))
        self._shards = plan.shards
        self._launcher = launcher
        self._credentials = credentials
        self._at_hand = AtHand(variables)
        self._notices = notices
        self._lives: dict[str, Life] = {}
        self._inbox: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._outbox: queue.SimpleQueue[Action | BaseException] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="coordinator", daemon=True)
        self._failure: Exception | None = None
        self._step = 0
        self._settled = 0

    def begin(self, position: Position) -> None:
        """Starts the tasks; returns when all stand at the position."""
        self._step = self._settled = position.step
        self._thread.start()
        self._ask(Begin(position.step), Began)

    def advance(self, position: Position, until: int) -> Stepped:
        answer = self._ask(Advance(until), Advanced)
        steps, self._step = answer.step - position.step, answer.step
        return Stepped(steps, outputs_of(answer.shares, self._shards))

    def settle(self) -> None:
        if self._settled == self._step:
            return
        self._settled = self._ask(Settle(self._step), Settled).step
        for c in self.counts.values():
            self._notices(Gradients(self._step, c.task, c.applied, c.dropped, c.staleness))

    def close(self) -> None:
        """Ends all tasks."""
        if self._thread.is_alive():
            self._inbox.put(Stop())
            self._thread.join(CLOSE_SECONDS)
            self._inbox.put(None)
        self._launcher.close()

    @property
    def step_seconds(self) -> float | None:
        """What a step takes, measured; None before the first."""
        return self._machine.step_seconds

    @property
    def counts(self) -> Mapping[str, Counts]:
        """What became of each worker's gradients, where not all of them count."""
        return self._machine.counts

    def _ask(self, event: Event, kind: type[Answer]) -> Answer:
        if self._failure is not None:
            raise self._failure
        self._inbox.put(event)
        while True:
            match self._outbox.get():
                case Notice(code, message, help):
                    self._notices(Warning(code, message, help))
                case Fail(error, failed):
                    self._failure = _raised(error, failed)
                    raise self._failure
                case BaseException() as error:
                    raise error
                case answer if isinstance(answer, kind):
                    return answer

    # --- the coordinator's thread ----------------------------------------------------------------

    def _run(self) -> None:
        try:
            ticked = time.monotonic()
            while True:
                event = self._next(ticked)
                if event is None:
                    return
                now = time.monotonic()
                if isinstance(event, Tick):
                    ticked = now
                for action in self._machine.handle(event, now):
                    if isinstance(action, Stopped):
                        return
                    self._do(action)
        except BaseException as error:
            self._outbox.put(error)
        finally:
            for life in self._lives.values():
                life.end()

    def _next(self, ticked: float) -> Event | None:
        """What has happened next; a tick when it is time for one, however much happens."""
        left = ticked + TICK_SECONDS - time.monotonic()
        if left > 0:
            try:
                return self._inbox.get(timeout=left)
            except queue.Empty:
                pass
        return Tick()

    def _do(self, action: Action) -> None:
        match action:
            case Start():
                self._lives[action.task] = Life(
                    action, self._launcher, self._credentials, self._inbox.put)
            case Kill(task):
                self._lives[task].end()
            case Send(task, _, command):
                self._lives[task].send(command)
            case LoadValues(task, _, generation, step, paths):
                self._lives[task].send(self._at_hand.loads(generation, step, paths))
            case KeepValues(values):
                self._at_hand.keep(values)
            case Settled():
                self._at_hand.settle()
                self._outbox.put(action)
            case _:
                self._outbox.put(action)


def _raised(error: ClusterError, failed: Failed | None) -> Exception:
    """A step that fails looks the same as in one process."""
    kinds = {"not-finite": NonFinite, "bad-value": ExecutionError}
    if failed is None or failed.code not in kinds:
        return error
    # The message has the place in front, as the error itself puts it there.
    place = str(ExecutionError(failed.op, failed.at, failed.path, ""))
    detail = failed.message.removeprefix(place)
    return kinds[failed.code](failed.op, failed.at, failed.path, detail, failed.step + 1)
