"""Jobs over a cluster: a model compiled for its tasks, and the engine that drives them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from flowc.cluster import Cluster, TaskSpec
from flowc.diagnostic import Diagnostic, Sink, Stop
from flowc.driver import Checked, Options, check, cluster_plan_of
from flowc.jobs import (
    Emit,
    Setup,
    TrainingJob,
    data_spec,
    first_variables,
    folder_of,
    needed_settings,
    open_streams,
    rest_of,
    train_options,
)
from flowc.lower.settings import TrainSettings
from flowc.place.strategy import Strategy, choose
from flowc.source import Source
from flowc_runtime.cluster.plan import ClusterPlan, Sync, TaskName, tasks_of
from flowc_runtime.cluster.planfile import cluster_plan_hash, read_cluster_plan, write_cluster_plan
from flowc_runtime.data.spec import write_spec
from flowc_runtime.executor import Session
from flowc_runtime.plan import Plan, PlanError
from flowc_runtime.training import Engine

SYNC_TEXT = re.compile(r"(\w+)(?:\s*\(\s*(?:\w+\s*=\s*)?(\d+)\s*\))?")


def parse_sync(text: str) -> Sync:
    """`all_reduce`, `backup(1)`, `async(max_staleness = 4)`, as the place section has them.

    Raises ValueError for anything else.
    """
    match = SYNC_TEXT.fullmatch(text.strip())
    number = int(match[2]) if match and match[2] else None
    match (match[1] if match else ""), number:
        case ("sync" | "all_reduce") as mode, None:
            return Sync(mode)  # type: ignore[arg-type]
        case "backup", _:
            return Sync("backup", backups=1 if number is None else number)
        case "async", _:
            return Sync("async", max_staleness=4 if number is None else number)
    raise ValueError(f"`{text}` is none of sync, all_reduce, backup(1), async(4)")


def over(cluster: Cluster, sync: Sync | None, reach: Reach) -> Runs:
    """Training over the tasks of a cluster; what cannot be is told to the sink, then Stop."""

    def plan(
        checked: Checked, settings: TrainSettings, sink: Sink, options: Options
    ) -> Planned:
        workers = sum(task.name.role == "worker" for task in cluster.tasks)
        strategy = choose(
            checked.placing, workers, len(cluster.tasks) - workers, settings.batch,
            settings.shards, sink, sync or cluster.sync)
        whole, parts = cluster_plan_of(checked, sink, options, _nobody, strategy)
        return Planned(whole, partial(_open, cluster, parts, reach), parts)

    return plan


def tasks_for(plan: ClusterPlan, cluster: Cluster) -> dict[TaskName, TaskSpec]:
    """Which process plays each task of the plan: workers in order, stage by stage."""
    workers = [t for t in cluster.tasks if t.name.role == "worker"]
    owners = [t for t in cluster.tasks if t.name.role != "worker"]
    computing = sorted(
        (t for t in tasks_of(plan) if not t.role.startswith("ps:")),
        key=lambda t: (t.replica, t.role))
    owning = [t for t in tasks_of(plan) if t.role.startswith("ps:")]
    pairs = [*zip(computing, workers, strict=False), *zip(owning, owners, strict=False)]
    return {name: replace(spec, name=name) for name, spec in pairs}


def check_against(text: str, plan: ClusterPlan, name: str) -> None:
    """Raises Stop-like PlanError where a stored plan is not the one compiled now."""
    stored = read_cluster_plan(text)
    if cluster_plan_hash(stored) != cluster_plan_hash(plan):
        raise PlanError(
            f"{name} is another plan than the one that the model and the cluster give now; "
            f"`flowc plan --diff {name}` shows what differs")


def _nobody(stage: str, value: object) -> None:
    return None
