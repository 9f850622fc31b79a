"""Clusters as the compiler sees them: hosts and links, read from a file or from TF_CONFIG."""

from flowc.cluster.cluster import (
    Cluster,
    Device,
    Host,
    Link,
    Security,
    Ssh,
    Start,
    TaskSpec,
    local,
    on_ray,
)
from flowc.cluster.file import read_cluster, read_cluster_file
from flowc.cluster.tf_config import TfConfig, read_tf_config
from flowc.cluster.wrong import WrongCluster

__all__ = [
    "Cluster", "Device", "Host", "Link", "Security", "Ssh", "Start", "TaskSpec", "TfConfig",
    "WrongCluster", "local", "on_ray", "read_cluster", "read_cluster_file", "read_tf_config",
]  # fmt: skip
