"""What must stand in a task's environment before Python starts."""

from __future__ import annotations

from collections.abc import Mapping

# For processes that move large payloads: glibc otherwise gives every large block of memory back to
# the system at once, and each chunk begins on fresh pages.
GLIBC_TUNABLES = (
    "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=1073741824:"
    "glibc.malloc.top_pad=67108864:glibc.malloc.arena_max=1"
)


def task_environment(threads: int) -> Mapping[str, str]:
    """`threads` that a task computes with; 0: as many as the libraries like."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS") if threads else ()
    return {"GLIBC_TUNABLES": GLIBC_TUNABLES} | dict.fromkeys(names, str(threads))
