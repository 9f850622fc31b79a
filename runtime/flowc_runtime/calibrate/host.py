"""What tells one host's measurements from another's."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np

from flowc_runtime.cores import usable_cores
from flowc_runtime.threads import blas


def cpu_name() -> str:
    """As the system calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return " ".join(value.split())
    except OSError:
        pass
    return platform.processor() or platform.machine()


def host_name() -> str:
    return platform.node()


def host_facts(threads: int) -> dict[str, str | int]:
    """Name, CPU, cores, what NumPy computes with, and how many threads do."""
    found = blas()
    return {
        "name": host_name(),
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "numpy": np.__version__,
        "blas": f"{found.name} {found.version}".strip(),
        "threads": threads,
    }
