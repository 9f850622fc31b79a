"""Payloads between tasks: shared memory on one machine, gRPC streams between machines."""

from flowc_runtime.cluster.transport.exchange import TensorExchange
from flowc_runtime.cluster.transport.serve import pull_handler

__all__ = ["TensorExchange", "pull_handler"]
