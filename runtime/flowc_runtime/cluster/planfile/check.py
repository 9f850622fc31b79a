"""What must hold of a cluster plan before a task runs it; a broken promise is named."""

from __future__ import annotations

from flowc_runtime.cluster.plan import ClusterPlan
from flowc_runtime.planfile.check import check_plan


def check_cluster_plan(plan: ClusterPlan) -> None:
    """Raises PlanError unless every part is sound and all of them go together."""
    for part in plan.parts:
        check_plan(part.plan)
