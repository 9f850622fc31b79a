"""`flowc plan`: what each device will compute, hold and send, before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from flowc.cli.clusters import Where, cluster_options
from flowc.cli.command import command
from flowc.cli.jobs import measured_backend_option
from flowc.cli.models import diagnosing, read_model, write_text
from flowc.cli.options import define_option, json_option, model_argument

if TYPE_CHECKING:
    from flowc.planning.compiled import Compiled
    from flowc_runtime.cluster.plan import ClusterPlan
    from flowc_runtime.plan import Plan

CHANGED = 2  # the exit code of --exit-code


@command(
    "plan",
    ("flowc plan m.flow", "for one process"),
    ("flowc plan m.flow --local 2", "for two workers and a ps of this machine"),
    ("flowc plan m.flow --cluster hosts.yaml -o p.json", "and keep it for `flowc train --plan`"),
    ("flowc plan m.flow --local 2 --diff p.json", "what has changed since"),
)
@model_argument
@define_option
@cluster_options
@click.option("-o", "--out", type=click.Path(path_type=Path, allow_dash=True), metavar="FILE",
              help="Write the plan there; `-`: to stdout, and nothing else.")  # fmt: skip
@click.option("--diff", "old", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              metavar="OLD", help="Say only what differs from this plan file.")  # fmt: skip
@click.option("--exit-code", "tells", is_flag=True, help="With --diff, end with 2 on a difference.")
@click.option("--calibration", type=click.Path(path_type=Path, exists=True), metavar="PATH",
              help="A file of `flowc calibrate`, or a folder with one a host.")  # fmt: skip
@measured_backend_option
@json_option
@click.pass_context
def plan(
    ctx: click.Context,
    model: Path,
    defines: dict[str, str],
    cluster: str | None,
    local: int | None,
    workers: int | None,
    ps: int | None,
    insecure: bool,
    place: Path | None,
    sync: str | None,
    out: Path | None,
    old: Path | None,
    tells: bool,
    calibration: Path | None,
    backend: str,
    as_json: bool,
) -> None:
    """Say what each device will compute, hold and send.

    Nothing is run, and no data is read. Ops, parameters, bytes and the plan itself follow from
    the text and the cluster alone; seconds also from what `flowc calibrate` has measured here,
    or else from stated assumptions. Where the plan does not fit into a host's memory the exit
    code is 1.
    """
    if tells and old is None:
        raise click.UsageError("--exit-code goes with --diff")
    if sum((as_json, out == Path("-"))) > 1:
        raise click.UsageError("--json and `-o -` both print to stdout; choose one")
    compiled = _compiled(model, defines, Where(cluster, local, ps, sync, place, workers, insecure))
    if out is not None:
        _write(compiled, out)
    if old is not None:
        changed = _diff(compiled, old, as_json)
        ctx.exit(CHANGED if changed and tells else 0)
    if out != Path("-"):
        _tell(compiled, calibration, backend, as_json)
    _check_fits(compiled)


def _compiled(model: Path, defines: dict[str, str], where: Where) -> Compiled:
    from flowc.planning.compiled import compile_for

    with diagnosing() as sink:
        cluster = where.read(sink)
        return compile_for(
            read_model(model, sink), sink, defines, cluster, where.parsed_sync(),
            where.place_section(sink))


def _check_fits(compiled: Compiled) -> None:
    from flowc.planning.fits import check_fits

    if compiled.parts is not None and compiled.tasks is not None:
        with diagnosing() as sink:
            check_fits(compiled.parts, compiled.tasks, sink)
            sink.stop_on_errors()


# --- facts ------------------------------------------------------------------------------------


def _tell(
    compiled: Compiled, calibration: Path | None, backend: str, as_json: bool
) -> None:
    from flowc.cli.costs import costs_by_host
    from flowc.planning.facts import facts_of
    from flowc.planning.text import plan_text

    facts = facts_of(compiled, costs_by_host(calibration, backend))
    if as_json:
        from flowc.cli.printing import print_json

        print_json("plan", facts)
    else:
        click.echo("\n".join(plan_text(facts)))
    _warn(facts)


def _warn(facts: dict[str, Any]) -> None:
    """A cluster that would be slower than one process is worth a word."""
    found = facts["prediction"]
    if facts["sync"] is None or found["speed_up"] is None or found["speed_up"] >= 1:
        return
    from flowc.cli.ending import say

    limiting = found["limiting_link"]
    most = max(found["path"], key=lambda s: s["seconds"])
    reason = f"most of a step is {most['what']} of {most['task']}"
    if limiting is not None and limiting[0] != limiting[1]:
        reason += f"; the link {limiting[0]} -> {limiting[1]} is the busiest"
    say(
        f"over this cluster a step takes {1 / found['speed_up']:.2f} times as long as in one "
        f"process: {reason}",
        "no-speed-up", "a larger batch gives each worker more to do for what is sent",
        severity="warning",
    )  # fmt: skip


# --- files ------------------------------------------------------------------------------------


def _write(compiled: Compiled, out: Path) -> None:
    from flowc_runtime.cluster.planfile import write_cluster_plan
    from flowc_runtime.planfile import write_plan

    parts = compiled.parts
    text = write_plan(compiled.alone) if parts is None else write_cluster_plan(parts)
    if out == Path("-"):
        click.echo(text, nl=False)
    else:
        write_text(out, text)


def _diff(compiled: Compiled, old: Path, as_json: bool) -> bool:
    """Tells the differences; whether there are any."""
    from flowc.planning.diff import differences

    found = differences(_read(old), compiled.parts or compiled.alone)
    if as_json:
        from flowc.cli.printing import print_json

        print_json("plan-diff", {"old": str(old), "differences": found})
    else:
        click.echo("\n".join(found) or f"no difference from {old}")
    return bool(found)


def _read(path: Path) -> Plan | ClusterPlan:
    """A plan file of either kind; raises NotShown `plan-damaged`."""
    from flowc.views.errors import bad_plan
    from flowc.views.plans import read_plan_file
    from flowc_runtime.cluster.planfile import read_cluster_plan
    from flowc_runtime.plan import PlanError

    try:
        text = path.read_bytes().decode()
        if "flowc_cluster_plan" in json.loads(text):
            return read_cluster_plan(text)
    except PlanError as reason:
        raise bad_plan(path, reason) from None
    except (ValueError, TypeError):
        pass  # the other kind's reader says what is wrong
    return read_plan_file(path)
