"""A profile in the Trace Event Format, which chrome://tracing and https://ui.perfetto.dev show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flowc.profiling.profile import Profile, Profiled, Row

MICROSECONDS = 1e6


def trace_of(profile: Profile) -> dict[str, Any]:
    """One step, each instruction as long as it took in the median; a lane a program."""
    events = [
        event for lane, program in enumerate(profile.programs)
        for event in _events(program, lane)
    ]
    return {
        "traceEvents": events,
        "displayTimeUnit": "ns",
        "otherData": {
            "model": profile.model, "backend": profile.backend, "threads": profile.threads},
    }


def _events(program: Profiled, lane: int) -> Iterator[dict[str, Any]]:
    name = {"name": program.program}
    yield {"ph": "M", "name": "thread_name", "pid": 1, "tid": lane, "args": name}
    for row in program.rows:
        yield _event(row, lane)


def _event(row: Row, lane: int) -> dict[str, Any]:
    return {
        "ph": "X", "name": row.name, "cat": row.runs_on, "pid": 1, "tid": lane,
        "ts": row.began * MICROSECONDS, "dur": row.seconds * MICROSECONDS,
        "args": {"at": row.at, "path": row.path, "flops": row.flops, "bytes": row.bytes},
    }  # fmt: skip
