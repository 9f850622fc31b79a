"""The body of a task: what a worker or ps does when the coordinator says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from flowc_runtime.backend import ON_HOST, device_of
from flowc_runtime.cluster.exchange import Exchange, PeerLost
from flowc_runtime.cluster.memory import bytes_held
from flowc_runtime.cluster.messages import (
    Collect,
    Configure,
    Configured,
    Counts,
    Done,
    Failed,
    Load,
    Loaded,
    Ready,
    Run,
    Setup,
    Share,
    Values,
)
from flowc_runtime.cluster.plan import GRADIENT, ClusterPlan, TaskName, parse_task
from flowc_runtime.cluster.planfile import read_cluster_plan
from flowc_runtime.cluster.work.boxes import incoming, outgoing
from flowc_runtime.cluster.work.errors import WorkError
from flowc_runtime.cluster.work.loose import LoosePs, make_runner
from flowc_runtime.cluster.work.members import peers_of, ranges_of
from flowc_runtime.cluster.work.runner import ReadShard, Runner, Work
from flowc_runtime.cluster.work.shard_reader import ShardReader, no_shards
from flowc_runtime.data.spec import content_sha256, read_spec
from flowc_runtime.data.stream import Stream
from flowc_runtime.device import ExecutionError, NonFinite
from flowc_runtime.executor import Session
from flowc_runtime.plan import PlanError

PIECE_BYTES = 1 << 20  # of a variable that goes to the coordinator in one message
PATIENCE_SECONDS = 60.0  # for a payload: the coordinator sees a dead task long before


class Body:
    """One task. `root` is where the paths of data begin, `exchange` carries the payloads.

    Every method but `interrupt` and `progress` is called by one thread.
    """

    def __init__(self, exchange: Exchange, root: Path, allow: tuple[Path, ...] = ()):
        self._exchange = exchange
        self._root = root
        self._allow = allow
        self._plan: ClusterPlan | None = None
        self._me = TaskName("worker")
        self._session: Session | None = None
        self._read: ReadShard = no_shards
        self._runner: Runner | None = None
        self._generation = 0
        self._step = -1  # the last in the variables; -1 where they were never set
        self._missing: set[str] = set()  # variables that were not loaded yet
        self._seed = 0
        self._doing = "waiting for a plan"

    @property
    def progress(self) -> tuple[int, str]:
        """The last step that is done, and what the task is at."""
        runner, doing = self._runner, self._doing
        if runner is None:
            return self._step, doing
        awaited = runner.waits.now
        return runner.step, f"waiting for {awaited}" if awaited else doing

    def setup(self, command: Setup, me: str) -> Ready:
        """Reads plan and data, and allocates; WorkError, DataError, BackendError."""
        self._me, self._seed = parse_task(me), command.seed
        try:
            plan = self._plan = read_cluster_plan(command.plan)
            part = plan.part(self._me.role)
        except (PlanError, KeyError) as reason:
            raise WorkError("task-plan", f"{me} cannot run the plan: {reason}") from reason
        device = device_of(command.backend, among=ON_HOST)
        self._session = Session(part.plan, command.threads or None, device)
        self._step, self._missing = -1, set(plan.loads(self._me.role))
        examples, digest = 0, ""
        if GRADIENT in part.plan.programs:
            examples, digest = self._open_data(plan, command)
        ranges = self._first_ranges(plan)
        self._doing = "ready"
        return Ready(bytes_held(plan, self._me, ranges).total, examples, digest)

    def configure(self, command: Configure) -> Configured:
        """Joins a generation: the boxes of the last one are closed, and new ones opened."""
        assert self._plan is not None and self._session is not None
        if self._runner is not None:
            self._step = self._runner.step
        self._runner = None
        ranges = ranges_of(command.members)
        self._exchange.open(
            command.generation, str(self._me), peers_of(command.members, str(self._me)),
            outgoing(self._plan, self._me, ranges), incoming(self._plan, self._me, ranges),
            PATIENCE_SECONDS,
        )  # fmt: skip
        self._runner = make_runner(Work(
            self._session, self._plan, self._me, ranges, self._exchange, self._read, self._seed))
        self._runner.step = self._step
        self._generation = command.generation
        self._doing = "configured"
        return Configured(command.generation, -1 if self._missing else self._step)

    def load(self, command: Load) -> Loaded | None:
        """Sets a piece of a variable; the answer comes with the last of them."""
        assert self._session is not None
        variable = self._session.variables.get(command.path)
        if variable is not None:
            flat = variable.reshape(-1).view(np.uint8)
            end = command.offset + len(command.data)
            if not 0 <= command.offset <= end <= flat.size:
                raise WorkError("task-order", f"`{command.path}` has {flat.size} bytes, not {end}")
            flat[command.offset : end] = np.frombuffer(command.data, np.uint8)
            self._missing.discard(command.path)
        # Between the first piece and the last the variables are those of no step.
        self._step = command.step if command.last else -1
        if self._runner is not None:
            self._runner.step = self._step
        return Loaded(command.generation, command.step) if command.last else None

    def run(self, command: Run) -> Done | Failed:
        """Does the steps; raises Aborted where the generation ends meanwhile."""
        runner = self._runner
        if runner is None or command.generation != self._generation:
            raise WorkError("task-order", "steps were asked for outside of a generation")
        self._doing = "computing"
        began, first = time.perf_counter(), command.after
        try:
            with np.errstate(all="ignore"):
                runner.run_until(command.after, command.until)
        except PeerLost as lost:
            return self._failed("peer-lost", str(lost), peer=lost.peer)
        except ExecutionError as error:
            code = "not-finite" if isinstance(error, NonFinite) else "bad-value"
            return self._failed(code, str(error), op=error.op, at=error.at, path=error.path)
        finally:
            self._step = runner.step
            self._doing = "idle"
        steps = max(1, runner.step - first)
        waiting, slowest = runner.waits.take()
        return Done(
            self._generation, runner.step, self._shares(runner), self._counts(runner),
            (time.perf_counter() - began - waiting) / steps, waiting / steps, slowest,
        )  # fmt: skip

    def collect(self, command: Collect) -> Iterator[Values]:
        """The variables asked for, piece by piece."""
        assert self._session is not None
        last = len(command.paths) - 1
        for number, path in enumerate(command.paths):
            flat = self._session.variables[path].reshape(-1).view(np.uint8)
            for offset in range(0, max(1, flat.size), PIECE_BYTES):
                piece = flat[offset : offset + PIECE_BYTES].tobytes()
                end = offset + PIECE_BYTES >= flat.size
                yield Values(
                    command.generation, self._step, path, offset, piece, end and number == last)

    def interrupt(self) -> None:
        """Any thread: whatever waits for payloads stops with Aborted."""
        self._exchange.abort()

    def close(self) -> None:
        self._exchange.close()

    def _open_data(self, plan: ClusterPlan, command: Setup) -> tuple[int, str]:
        assert self._session is not None
        dataset = read_spec(command.data).open(self._root, self._allow)
        stream = Stream(dataset, plan.batch, command.seed, dataset.shuffled, "drop")
        received = {t.name for c in plan.channels if c.kind == "value" for t in c.tensors}
        reader = self._read = ShardReader(stream, plan.shard_size, received)
        reader.bind(self._session.inputs(GRADIENT))
        return len(dataset), content_sha256(dataset)

    def _first_ranges(self, plan: ClusterPlan) -> dict[str, tuple[int, int]]:
        """The shards as they are dealt out when every replica is there."""
        ranges: dict[str, tuple[int, int]] = {}
        for part in plan.parts:
            dealt = plan.dealt(part.role, part.replicas)
            ranges |= {str(TaskName(part.role, r)): mine for r, mine in enumerate(dealt)}
        return ranges

    def _shares(self, runner: Runner) -> tuple[Share, ...]:
        if isinstance(runner, LoosePs):
            assert self._plan is not None
            return runner.shares(self._plan.outputs)
        return tuple(
            Share(start, stop, runner.kept.values(k))
            for k, (start, stop) in enumerate(runner.kept.ranges) if runner.kept.names
        )

    def _counts(self, runner: Runner) -> tuple[Counts, ...]:
        return runner.counts() if isinstance(runner, LoosePs) else ()

    def _failed(
        self, code: str, message: str, op: str = "", at: str = "", path: str = "", peer: str = "",
    ) -> Failed:
        assert self._runner is not None
        return Failed(
            self._generation, self._runner.step, code, message, "", op, at, path, peer)
