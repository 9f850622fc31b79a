"""Speaking to a task that listens: who it is, and how fast its bytes come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flowc.cluster.cluster import Security
from flowc_runtime.cluster.messages import Welcome

if TYPE_CHECKING:
    from flowc_runtime.cluster.control.credentials import Credentials

MEASURED_SECONDS = 1.0  # of a link, at most


@dataclass(frozen=True)
class TaskProbe:
    """A Probe over gRPC, with the cluster's certificates where it has some."""

    credentials: Credentials | None

    def greet(self, address: str, seconds: float) -> Welcome:
        """Raises ClusterError with one of the reasons of `probe`."""
        from flowc_runtime.cluster.control.client import probe

        return probe(address, self.credentials, seconds)

    def bandwidth(self, address: str, seconds: float) -> float | None:
        """Bytes a second of one stream; None where the task does not measure."""
        import grpc

        from flowc_runtime.cluster.control.client import open_channel
        from flowc_runtime.cluster.measure import measure

        try:
            with open_channel(address, self.credentials) as channel:
                return measure(channel, min(seconds, MEASURED_SECONDS))
        except grpc.RpcError:
            return None


def task_probe(security: Security) -> TaskProbe:
    """Raises ClusterError where the certificates cannot be read."""
    from flowc_runtime.cluster.control.credentials import load_credentials

    return TaskProbe(load_credentials(security.tls) if security.tls is not None else None)
