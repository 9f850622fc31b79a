"""What tells one host's measurements from another's."""

from __future__ import annotations

import platform
from pathlib import Path

import numpy as np

from flowc_runtime.threads import blas, usable_cores


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


def host_facts() -> dict[str, str | int]:
    """Name, CPU, cores, and what NumPy computes with."""
    found = blas()
    return {
        "name": platform.node(),
        "cpu": cpu_name(),
        "cores": usable_cores(),
        "numpy": np.__version__,
        "blas": f"{found.name} {found.version}".strip(),
        "threads": found.threads or 1,
    }
