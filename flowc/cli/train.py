"""`flowc train`: compiles a model for its data, and trains it into a run folder."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flowc.cli.clusters import Where, cluster_options, refuse_drift
from flowc.cli.command import command
from flowc.cli.jobs import allow_option, backend_option, threads_option
from flowc.cli.models import diagnosing, read_model
from flowc.cli.options import define_option, json_option, model_argument

if TYPE_CHECKING:
    from flowc.diagnostic import Sink
    from flowc.jobs import Setup, TrainingJob
    from flowc_runtime.events import End
    from flowc_runtime.runfolder.folder import RunFolder

COUNT = click.IntRange(1)


@command(
    "train",
    ("flowc train", "model.flow of this folder"),
    ("flowc train m.flow --epochs 3 -D hidden=256", "with other settings"),
    ("flowc train m.flow --resume", "go on where the last run of the model stopped"),
    ("flowc train m.flow --local 2", "on two workers and a ps of this machine"),
    ("flowc train m.flow --cluster hosts.yaml", "on the hosts of a cluster file"),
    ("flowc train m.flow --cluster ray --workers 4", "on nodes that a Ray cluster finds"),
)
@model_argument
@define_option
@click.option("--steps", type=COUNT, help="Train to this step.")
@click.option("--epochs", type=COUNT, help="Train for this many epochs.")
@click.option("--seed", type=click.IntRange(0), help="Of first values, shuffling and dropout.")
@threads_option
@backend_option
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR",
              help="The run folder; by default runs/MODEL-DATE-TIME.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the newest sound checkpoint of the run.")
@cluster_options
@click.option("--plan", "stored", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              metavar="FILE", help="Refuse to train by another plan than this one.")  # fmt: skip
@allow_option
@click.option("--progress", type=click.Choice(("auto", "rich", "plain", "json", "none")),
              default="auto", show_default=True, help="How progress is shown.")  # fmt: skip
@json_option
@click.pass_context
def train(
    ctx: click.Context,
    model: Path,
    defines: dict[str, str],
    steps: int | None,
    epochs: int | None,
    seed: int | None,
    threads: int,
    backend: str,
    out: Path | None,
    resume: bool,
    cluster: str | None,
    local: int | None,
    workers: int | None,
    ps: int | None,
    insecure: bool,
    place: Path | None,
    sync: str | None,
    stored: Path | None,
    allow: tuple[Path, ...],
    progress: str,
    as_json: bool,
) -> None:
    """Train a model on its data.

    The run folder holds the plan, the text, metrics.jsonl, event files for TensorBoard, and
    checkpoints. Ctrl-C finishes the step, saves and ends with 130; twice stops at once.
    """
    from flowc.cli.foresight import Foresight
    from flowc.cli.progress import end_lines, reporter
    from flowc.jobs import Setup, run_with_signals

    if steps is not None and epochs is not None:
        raise click.UsageError("--steps and --epochs are two ways to say one thing; keep one")
    settings = {"train.steps": steps, "train.epochs": epochs, "train.seed": seed}
    given = {name: str(value) for name, value in settings.items() if value is not None}
    show = reporter(progress, as_json)
    try:
        where = Where(cluster, local, ps, sync, place, workers, insecure)
        setup = Setup({**defines, **given}, threads, allow, backend=backend)
        job, run = _open(model, setup, out, resume, where, stored)
        _summary(job)
        started, seeing = time.monotonic(), Foresight(show, _foretold(job))
        with run:
            end = run_with_signals(job, run, seeing, resume)
    finally:
        show.close()
    if not as_json and progress != "json":
        seconds = time.monotonic() - started
        for line in end_lines(end, seconds, str(model), seeing.step_time):
            click.echo(line)
    _exit(ctx, end)


def _open(
    model: Path, setup: Setup, out: Path | None, resume: bool, where: Where, stored: Path | None
) -> tuple[TrainingJob, RunFolder]:
    """The job, and its run folder: a new one, or the one to be resumed."""
    from flowc.jobs import new_run, prepare_training, reopen

    with diagnosing() as sink:
        source = read_model(model, sink)
        runs = where.runs(sink, setup.backend)
        setup = replace(setup, place=where.place_section(sink), runs=runs)
        if resume:
            job, run = reopen(source, sink, setup, out)
            _check_fits(job, sink)
            refuse_drift(job, stored)
            return job, run
        job = prepare_training(source, sink, setup)
        _check_fits(job, sink)
    refuse_drift(job, stored)
    return job, new_run(job, tuple(sys.argv), out)


def _check_fits(job: TrainingJob, sink: Sink) -> None:
    """Stops where the tasks of a host need more memory than it has."""
    parts, cluster = job.planned.cluster_plan, job.planned.cluster
    if parts is None or cluster is None:
        return
    from flowc.distributed import tasks_for
    from flowc.planning.fits import check_fits

    check_fits(parts, tasks_for(parts, cluster), sink)
    sink.stop_on_errors()


def _foretold(job: TrainingJob) -> Callable[[], float]:
    """Asked for when the training has ended: its imports are no part of the start."""

    def foretold() -> float:
        from flowc.cli.costs import costs_by_host
        from flowc.planning.foretold import foretold_seconds

        costs = costs_by_host(backend=job.setup.backend)
        return foretold_seconds(job.planned, job.settings.shards or 1, costs)

    return foretold


def _summary(job: TrainingJob) -> None:
    from flowc.cli.summary import plan_facts, plan_summary

    click.echo("\n".join(plan_summary(plan_facts(job.plan))), err=True)


def _exit(ctx: click.Context, end: End) -> None:
    if end.exit_code:
        ctx.exit(end.exit_code)
