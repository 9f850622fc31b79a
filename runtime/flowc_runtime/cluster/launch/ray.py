"""Tasks as actors of a Ray cluster, in room that a placement group reserves for them.

Ray chooses the nodes, tells what becomes of the actors, and gives a task another node when its
own is gone. Who may speak to a task is our own matter: certificates for this one training go to
the actors through Ray, so that the tasks are as safe as the Ray cluster is.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowc_runtime.cluster.errors import ClusterError
from flowc_runtime.cluster.launch import Place
from flowc_runtime.cluster.launch.environment import task_environment
from flowc_runtime.cluster.launch.ray_actor import LISTENS, TaskActor
from flowc_runtime.cluster.launch.ray_join import connect, library

RESERVE_SECONDS = 30.0
START_SECONDS = 40.0  # with the node that comes back, or another one
LISTEN_SECONDS = 15.0
END_SECONDS = 2.0
CALLS_AT_ONCE = 2  # of an actor: it serves, and can still be asked
STRATEGY = "SPREAD"

# Makes certificates for a host, by its IP address; the folder that they are in.
Certify = Callable[[str], Path]
OVER = "the training is over"


@dataclass
class _Life:
    """An actor that stands for a task; `served` is the call that lasts as long as it does."""

    actor: Any
    served: Any = None


class OnRay:
    """`certify` makes certificates for tasks; None: whoever reaches a task may speak to it.

    `threads` is also the number of CPUs that each task reserves.
    """

    def __init__(
        self, places: Sequence[Place], threads: int, address: str, certify: Certify | None
    ):
        connect(address)
        self._ray = library()
        self._threads = threads
        self._certify = certify
        self._places = {place.task: (k, place) for k, place in enumerate(places)}
        self._addresses = {place.task: place.address for place in places}
        self._lives: dict[str, _Life] = {}
        self._group: Any = None
        self._until = 0.0  # when the group must have its room
        self._lock = threading.Lock()
        self._closed = False

    def start(self, task: str) -> str:
        group = self._reserved()
        bundle, place = self._places[task]
        life = self._new_life(task, group, bundle)
        try:
            self._addresses[task] = self._listening(life, place)
        except BaseException:
            self._end(task)
            raise
        return self._addresses[task]

    def restart(self, task: str) -> str:
        self._end(task)
        return self.start(task)

    def watch(self, task: str, seconds: float) -> str | None:
        life = self._lives.get(task)
        if life is None or life.served is None:
            return None
        ended, _ = self._ray.wait([life.served], timeout=seconds)
        if not ended:
            return None
        try:
            status, why = self._ray.get(life.served)
        except self._ray.exceptions.RayError as error:
            return how_it_died(str(error))
        return f"ended (status {status}): {why}"

    def addresses(self) -> Mapping[str, str]:
        return self._addresses

    def close(self) -> None:
        """Ends the actors, gives the room back, and leaves the Ray cluster."""
        with self._lock:
            self._closed = True
        served = [life.served for life in self._lives.values() if life.served is not None]
        with contextlib.suppress(self._ray.exceptions.RayError):
            self._ray.wait(served, num_returns=len(served), timeout=END_SECONDS) if served else None
        for task in list(self._lives):
            self._end(task)
        if self._group is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.util.remove_placement_group(self._group)
        self._ray.shutdown()

    # --- room -------------------------------------------------------------------------------

    def _reserved(self) -> Any:
        """The placement group, when it has its room; asked for by whoever comes first."""
        with self._lock:
            if self._closed:
                raise ClusterError("task-not-started", OVER)
            if self._group is None:
                bundles = [{"CPU": self._threads} for _ in self._places]
                self._group = self._ray.util.placement_group(bundles, strategy=STRATEGY)
                self._until = time.monotonic() + RESERVE_SECONDS
        # Once it had its room Ray itself looks for more when a node is gone.
        if not self._group.wait(max(1.0, self._until - time.monotonic())) and not self._lives:
            raise self._no_room()
        return self._group

    def _no_room(self) -> ClusterError:
        has, free = self._ray.cluster_resources(), self._ray.available_resources()
        cpus = len(self._places) * self._threads
        return ClusterError(
            "ray-no-room",
            f"Ray has not found {cpus} free CPUs for {len(self._places)} tasks within "
            f"{RESERVE_SECONDS:g} s: the cluster has {has.get('CPU', 0):g}, and "
            f"{free.get('CPU', 0):g} of them are free",
            "take fewer --workers, --ps or --threads, or add a node: `ray start --address "
            "HEAD:6379`",
        )

    # --- a life of a task -------------------------------------------------------------------

    def _new_life(self, task: str, group: Any, bundle: int) -> _Life:
        strategy = self._ray.util.scheduling_strategies.PlacementGroupSchedulingStrategy(
            group, placement_group_bundle_index=bundle)
        make = self._ray.remote(TaskActor).options(
            num_cpus=self._threads, scheduling_strategy=strategy, max_restarts=0,
            max_concurrency=CALLS_AT_ONCE, runtime_env={
                "env_vars": dict(task_environment(self._threads))},
        )  # fmt: skip
        with self._lock:
            if self._closed:
                raise ClusterError("task-not-started", OVER)
            life = self._lives[task] = _Life(make.remote())
        return life

    def _listening(self, life: _Life, place: Place) -> str:
        """Has the actor listen; its address."""
        host = self._ask(life.actor.host.remote(), START_SECONDS)
        files = {} if self._certify is None else {
            path.name: path.read_bytes() for path in self._certify(host).iterdir()}  # fmt: skip
        code, said, help = self._ask(
            life.actor.listen.remote(host, files, place.root, list(place.allow)), LISTEN_SECONDS)
        if code != LISTENS:
            raise ClusterError(code, said, help)
        life.served = life.actor.serve.remote()
        return str(said)

    def _ask(self, answer: Any, seconds: float) -> Any:
        errors = self._ray.exceptions
        try:
            return self._ray.get(answer, timeout=seconds)
        except errors.GetTimeoutError as error:
            raise ClusterError(
                "task-not-started", f"Ray has not started it within {seconds:g} s",
                "`ray status` says what the cluster has room for") from error  # fmt: skip
        except errors.RayError as error:
            raise ClusterError(
                "task-not-started", f"it could not be started on Ray: {how_it_died(str(error))}",
                "flowc must be installed on every node, in the same version",
            ) from error

    def _end(self, task: str) -> None:
        life = self._lives.pop(task, None)
        if life is not None:
            with contextlib.suppress(self._ray.exceptions.RayError):
                self._ray.kill(life.actor)


def how_it_died(told: str) -> str:
    """The end of an actor as it reads behind its name, from what Ray says at length."""
    if "its node has died" in told:
        return "died (its node is gone)"
    if "unavailable" in told:
        return "died (its node does not answer)"
    if "End of file" in told:
        return "died (its process was killed)"
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return f"died ({lines[-1] if lines else 'Ray does not say why'})"
