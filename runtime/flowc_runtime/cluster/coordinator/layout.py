"""What the coordinator must know of a cluster plan: who computes what, and whose variables are one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from flowc_runtime.cluster.plan import GRADIENT, ClusterPlan, TaskName
from flowc_runtime.cluster.shards import Range, assign


@dataclass(frozen=True, slots=True)
class Group:
    """Tasks with the same variables: the replicas of a role.

    `loads` must be given to a task before its first step; `changing` of them change with the
    steps. What a task is sent in every step is in neither.
    """

    tasks: tuple[str, ...]
    loads: tuple[str, ...]
    changing: tuple[str, ...]
    bytes: int  # of `loads`


@dataclass(frozen=True)
class Layout:
    """All tasks of a job.

    `replica_of` has the replica number of each task that computes gradients. A replica works only
    as a whole, if its model is cut into stages; the other tasks are needed always. At least
    `least` replicas are. Where `everyone_all`, each replica computes whole batches. Where workers
    `run_on` they are told once to run, and only the owners of variables count steps.
    """

    tasks: tuple[str, ...]
    replica_of: Mapping[str, int]
    groups: tuple[Group, ...]
    shards: int
    least: int = 1
    everyone_all: bool = False
    run_on: bool = False

    def members(self, ready: Collection[str]) -> dict[str, Range] | None:
        """Who takes part when these tasks are ready, with their shards; None: too few.

        Replicas for which no shards are left stand by.
        """
        if any(t not in ready for t in self.tasks if t not in self.replica_of):
            return None
        whole = [r for r in self._replicas() if all(t in ready for t in self._of(r))]
        if not self.everyone_all:
            whole = whole[: self.shards]
        if len(whole) < self.least:
            return None
        dealt = [(0, self.shards)] * len(whole) if self.everyone_all else assign(
            self.shards, len(whole))  # fmt: skip
        ranges = dict(zip(whole, dealt, strict=True))
        return {
            task: ranges[self.replica_of[task]] if task in self.replica_of else (0, 0)
            for task in self.tasks
            if self.replica_of.get(task, whole[0]) in ranges
        }

    def missing(self, ready: Collection[str]) -> tuple[str, ...]:
        """The tasks without which there can be no step."""
        owners = [t for t in self.tasks if t not in self.replica_of and t not in ready]
        return tuple(owners) or tuple(t for t in self.tasks if t not in ready)

    def counting(self, members: Collection[str]) -> tuple[str, ...]:
        """The members whose word that a step is done is waited for."""
        return tuple(t for t in members if not (self.run_on and t in self.replica_of))

    def alone(self) -> frozenset[str]:
        """Tasks that hold variables as nobody else does: steps are lost with them."""
        return frozenset(g.tasks[0] for g in self.groups if len(g.tasks) == 1 and g.changing)

    def _replicas(self) -> list[int]:
        return sorted(set(self.replica_of.values()))

    def _of(self, replica: int) -> list[str]:
        return [t for t, r in self.replica_of.items() if r == replica]


def layout_of(plan: ClusterPlan) -> Layout:
    names = {p.role: [str(TaskName(p.role, r)) for r in range(p.replicas)] for p in plan.parts}
    computing = [p.role for p in plan.parts if GRADIENT in p.plan.programs]
    groups = tuple(
        Group(tuple(names[p.role]), loads, plan.changing(p.role), _bytes(plan, p.role, loads))
        for p in plan.parts
        if (loads := plan.loads(p.role))
    )
    return Layout(
        tuple(task for tasks in names.values() for task in tasks),
        {task: r for role in computing for r, task in enumerate(names[role])},
        groups,
        plan.shards,
        plan.sync.backups + 1 if plan.sync.mode == "backup" else 1,
        plan.sync.mode == "async",
        plan.sync.mode in ("backup", "async"),
    )


def _bytes(plan: ClusterPlan, role: str, paths: Collection[str]) -> int:
    return sum(v.type.bytes for v in plan.part(role).plan.variables if v.path in paths)
