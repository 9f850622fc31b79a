"""A model compiled for where it is to run, without its data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flowc.cluster import Cluster, TaskSpec
from flowc.diagnostic import Limit, Sink, Stop
from flowc.driver import Checked, Options, check, plan_of
from flowc.lower import errors
from flowc.source import Source
from flowc_runtime.cluster.plan import ClusterPlan, Sync, TaskName
from flowc_runtime.plan import Plan


@dataclass(frozen=True)
class Compiled:
    """`alone` is what one process does by itself, `parts` what the tasks of a cluster do."""

    checked: Checked
    alone: Plan
    parts: ClusterPlan | None = None
    cluster: Cluster | None = None
    tasks: Mapping[TaskName, TaskSpec] | None = None

    @property
    def shards(self) -> int:
        """Into how many parts one process cuts a batch."""
        settings = self.checked.settings
        return (settings.shards if settings else None) or 1


def compile_for(
    source: Source, sink: Sink, defines: Mapping[str, str], cluster: Cluster | None,
    sync: Sync | None, place: Source | None = None,
) -> Compiled:
    """Text to plans; raises Stop when the sink holds errors, and where nothing is trained."""
    options = Options(defines, place)
    checked = check(source, sink, options)
    settings = checked.settings
    if settings is None:
        assert checked.world.model is not None
        sink.report(errors.no_train(checked.world.model))
        raise Stop
    try:
        alone = plan_of(checked, sink, options, _nobody)
        if cluster is None:
            return Compiled(checked, alone)
        from flowc.distributed import over, tasks_for

        planned = over(cluster, sync)(checked, settings, sink, options)
    except Limit as limit:
        sink.report(limit.diagnostic)
        raise Stop from None
    assert planned.cluster_plan is not None
    return Compiled(
        checked, alone, planned.cluster_plan, cluster, tasks_for(planned.cluster_plan, cluster))


def _nobody(stage: str, value: object) -> None:
    return None
