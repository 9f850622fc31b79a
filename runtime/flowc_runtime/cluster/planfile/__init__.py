"""The cluster plan as a file: versioned JSON with a hash of its content."""

from flowc_runtime.cluster.planfile.check import check_cluster_plan
from flowc_runtime.cluster.planfile.promises import PROMISES, BrokenPromise
from flowc_runtime.cluster.planfile.read import read_cluster_plan
from flowc_runtime.cluster.planfile.write import cluster_plan_hash, write_cluster_plan

__all__ = [
    "PROMISES",
    "BrokenPromise",
    "check_cluster_plan",
    "cluster_plan_hash",
    "read_cluster_plan",
    "write_cluster_plan",
]
