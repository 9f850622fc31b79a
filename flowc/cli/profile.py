"""`flowc profile`: a step's instructions timed one by one, beside what the machine can do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowc.cli.command import command
from flowc.cli.jobs import allow_option, measured_backend_option, threads_option
from flowc.cli.models import diagnosing, read_model, write_text
from flowc.cli.options import define_option, json_option, model_argument

if TYPE_CHECKING:
    from flowc.planning.compiled import Compiled
    from flowc.profiling.profile import Profile

SECONDS = 3.0
TOP = 20
GROUPS = {"instruction": "instruction", "line": "at", "op": "name", "path": "path"}


@command(
    "profile",
    ("flowc profile m.flow", "the instructions of a training step that take longest"),
    ("flowc profile m.flow --by line", "added up by the lines of the text"),
    ("flowc profile m.flow --backend native --trace step.json", "for chrome://tracing"),
    ("flowc profile m.flow --program predict", "another program of the plan"),
)
@model_argument
@define_option
@click.option("--program", metavar="NAME",
              help="A program of the plan; by default those of a training step.")  # fmt: skip
@click.option("--by", type=click.Choice(list(GROUPS)), default="instruction", show_default=True,
              help="What is added up to a row.")  # fmt: skip
@click.option("--top", type=click.IntRange(1), default=TOP, show_default=True,
              help="How many rows to show, the longest first.")  # fmt: skip
@click.option("--trace", type=click.Path(path_type=Path), metavar="FILE",
              help="Write a step there for chrome://tracing or ui.perfetto.dev.")  # fmt: skip
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=SECONDS, show_default=True,
              help="How long to run.")  # fmt: skip
@threads_option
@measured_backend_option
@allow_option
@json_option
def profile(
    model: Path,
    defines: dict[str, str],
    program: str | None,
    by: str,
    top: int,
    trace: Path | None,
    seconds: float,
    threads: int,
    backend: str,
    allow: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Say where the seconds of a step go.

    Each instruction is timed in place, with the model's own data where they are at hand. GF/s and
    GB/s are what the instruction's arithmetic, and the bytes that it reads and writes, come to in
    a second. `of roof` is the share of what this machine can do, measured at the same time: the
    longer of its arithmetic at the rate of a product of large matrices, and its bytes at the rate
    of memory. What lies in a cache may be over 100 %.
    """
    from flowc.profiling.profile import profile as measure

    compiled = _compiled(model, defines, program)
    found = measure(compiled, allow, backend, threads, seconds, program)
    if trace is not None:
        from flowc.profiling.trace import trace_of

        write_text(trace, json.dumps(trace_of(found)) + "\n")
    _tell(found, GROUPS[by], top, as_json)


def _compiled(model: Path, defines: dict[str, str], program: str | None) -> Compiled:
    from flowc.planning.compiled import compile_for

    with diagnosing() as sink:
        compiled = compile_for(read_model(model, sink), sink, defines, None, None)
    known = compiled.alone.programs
    if program is not None and program not in known:
        raise click.UsageError(f"there is no program `{program}`, only {', '.join(known)}")
    return compiled


def _tell(found: Profile, by: str, top: int, as_json: bool) -> None:
    if as_json:
        from flowc.cli.printing import print_json

        print_json("profile", _facts(found, by))
        return
    from flowc.profiling.text import profile_text

    click.echo("\n".join(profile_text(found, by, top)))


def _facts(found: Profile, by: str) -> dict[str, Any]:
    from dataclasses import asdict

    from flowc.profiling.profile import grouped

    return {
        **{name: getattr(found, name) for name in ("model", "batch", "backend", "threads")},
        "roof": asdict(found.roof),
        "programs": [
            {**asdict(p), "rows": [asdict(row) for row in grouped(p.rows, by)]}
            for p in found.programs
        ],
    }
