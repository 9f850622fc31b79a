"""A profile as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from flowc.planning.text import table
from flowc.planning.units import time_text
from flowc.profiling.profile import Profile, Profiled, Row, grouped
from flowc_runtime.calibrate.roof import Roof

GIGA = 1e9
LONGEST_NAME = 40


def profile_text(profile: Profile, by: str, top: int) -> Iterator[str]:
    """The lines of `flowc profile`: the `top` longest rows of each program."""
    threads = f"{profile.threads} thread" + ("" if profile.threads == 1 else "s")
    yield f"{profile.model}: batch {profile.batch}, {profile.backend}, {threads}"
    yield (f"this machine: {profile.roof.flops / GIGA:.0f} GF/s in products of matrices, "
           f"{profile.roof.bytes / GIGA:.1f} GB/s in memory")
    for program in profile.programs:
        yield ""
        yield from _program(program, profile.roof, by, top)


def _program(program: Profiled, roof: Roof, by: str, top: int) -> Iterator[str]:
    examples = "its examples" if program.reads else "made-up inputs"
    yield (f"{program.program}: {time_text(program.whole)} a run, {time_text(program.filling)} for "
           f"{examples}; medians of {program.runs} runs")
    rows = sorted(grouped(program.rows, by), key=lambda row: -row.seconds)
    shown, left = rows[:top], rows[top:]
    cells: list[tuple[str, ...]] = [
        ("time", "share", "GF/s", "GB/s", "of roof", "runs on", "what", "where")]
    cells += [_cells(row, program.seconds, roof) for row in shown]
    yield from table(cells, "<>>>><<<")
    if left:
        rest = sum(row.seconds for row in left)
        yield f"and {len(left)} more, {_share(rest, program.seconds)}"


def _cells(row: Row, total: float, roof: Roof) -> tuple[str, ...]:
    seconds = row.seconds or float("inf")
    reached = roof.seconds(row.flops, row.bytes) / seconds
    what = row.name if len(row.name) <= LONGEST_NAME else f"{row.name[: LONGEST_NAME - 1]}…"
    return (
        time_text(row.seconds), _share(row.seconds, total),
        f"{row.flops / seconds / GIGA:.1f}", f"{row.bytes / seconds / GIGA:.1f}",
        f"{reached:.0%}", row.runs_on,
        what or f"{row.count} instructions", " ".join(filter(None, (row.at, row.path))),
    )  # fmt: skip


def _share(seconds: float, total: float) -> str:
    return f"{seconds / total:.1%}" if total else "-"
