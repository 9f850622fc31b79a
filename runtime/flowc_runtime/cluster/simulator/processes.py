"""The processes of a simulated cluster: who runs where, and what befalls them."""

from __future__ import annotations

from flowc_runtime.cluster.simulator.task import Shape, TaskModel
from flowc_runtime.cluster.simulator.world import World

SLOW_TIMES = 10.0


class Processes:
    """At most one for each task. Where tasks are started `by_hand`, they come back by themselves.
    """

    def __init__(self, world: World, shape: Shape, by_hand: bool):
        self._world = world
        self._shape = shape
        self.by_hand = by_hand
        self._running: dict[str, TaskModel] = {}
        self._ports = 0
        self._booting: dict[str, int] = {}  # the port of the last process that was started

    def of(self, task: str) -> TaskModel | None:
        return self._running.get(task)

    def at(self, task: str, address: str) -> TaskModel | None:
        """The process of the task, if it is still the one at that address."""
        process = self._running.get(task)
        return process if process is not None and process.address == address else None

    def boot(self, task: str, seconds: float) -> None:
        """A process comes up, in a while."""
        self._ports += 1
        port = self._booting[task] = self._ports

        def up() -> None:
            if self._booting[task] == port:  # and no other one was started meanwhile
                self._running[task] = TaskModel(
                    self._world, task, f"{task}@{port}", self._shape, self.at)

        self._world.after(seconds, up)

    def kill(self, task: str) -> None:
        process = self._running.pop(task, None)
        if process is not None:
            process.alive = False

    def kill_all(self) -> None:
        for task in tuple(self._running):
            self.kill(task)

    # --- faults ------------------------------------------------------------------------------

    def crash(self, task: str) -> None:
        self.kill(task)
        if self.by_hand:
            self.boot(task, 0.5 + 2 * self._world.random.random())

    def freeze(self, task: str, seconds: float) -> None:
        process = self._running.get(task)
        if process is not None:
            process.freeze()
            self._world.after(seconds, process.thaw)

    def hang_up(self, task: str) -> None:
        process = self._running.get(task)
        if process is not None:
            process.close()

    def slow(self, task: str, seconds: float) -> None:
        process = self._running.get(task)
        if process is not None:
            process.slow = SLOW_TIMES
            self._world.after(seconds, process.recover)

    def cut(self, task: str, seconds: float) -> None:
        self._world.cut.add(task)
        self._world.after(seconds, lambda: self._world.cut.discard(task))
