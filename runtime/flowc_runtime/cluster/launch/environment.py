"""What must stand in a task's environment before Python starts."""

from __future__ import annotations

from collections.abc import Mapping

from flowc_runtime.cluster.grpc_options import MALLOC_TUNABLES


def task_environment(threads: int) -> Mapping[str, str]:
    """`threads` that a task computes with; 0: as many as the libraries like."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS") if threads else ()
    return {"GLIBC_TUNABLES": MALLOC_TUNABLES} | dict.fromkeys(names, str(threads))
