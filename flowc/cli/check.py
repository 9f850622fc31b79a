"""`flowc check`: finds the mistakes in models and runs nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from flowc.cli import exits
from flowc.cli.checking import Report, all_diagnostics, check_file, repair, totals
from flowc.cli.command import command
from flowc.cli.models import model_files, show
from flowc.cli.options import define_option

FORMATS = ("text", "json", "sarif", "github")


@command(
    "check",
    ("flowc check", "model.flow of this folder"),
    ("flowc check models/ --strict", "all models of a folder; warnings count as errors"),
    ("flowc check m.flow --fix", "repair what has an obvious repair"),
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@define_option
@click.option("--format", "form", type=click.Choice(FORMATS), default="text", show_default=True,
              help="json, sarif (2.1.0), or github's workflow commands.")  # fmt: skip
@click.option("--fix", is_flag=True, help="Apply the repairs that messages offer, check again.")
@click.option("--strict", is_flag=True, help="Let warnings fail too.")
@click.pass_context
def check(
    ctx: click.Context,
    paths: tuple[Path, ...],
    defines: dict[str, str],
    form: str,
    fix: bool,
    strict: bool,
) -> None:
    """Find the mistakes in models; nothing is run.

    Syntax, names, types, shapes, settings and gradients are checked, and no data are read. PATHS
    are files or folders, and by default model.flow. As text, messages go to stderr and one line
    for each sound model to stdout; the other formats go to stdout as a whole. The exit code is 1
    if there are errors.
    """
    files = model_files(paths)
    if fix:
        _repair(files, defines)
    reports = [check_file(path, defines) for path in files]
    if form == "text":
        _tell(reports)
    else:
        click.echo(_rendered(form, reports), nl=bool(form != "github" or all_diagnostics(reports)))
    ctx.exit(exits.MISTAKE if any(r.fails(strict) for r in reports) else exits.OK)


def _repair(files: Sequence[Path], defines: Mapping[str, str]) -> None:
    for path in files:
        count = repair(path, defines)
        if count:
            click.echo(f"{path}: {count} repaired", err=True)


def _tell(reports: Sequence[Report]) -> None:
    show(all_diagnostics(reports))
    for report in reports:
        if report.sound:
            name = f"{report.path}: " if len(reports) > 1 else ""
            click.echo(f"{name}ok: {report.summary}")
    if not all(report.sound for report in reports):
        click.echo(f"\n{totals(reports)}", err=True)


def _rendered(form: str, reports: Sequence[Report]) -> str:
    from flowc.render import render_github, render_sarif

    found = all_diagnostics(reports)
    match form:
        case "github":
            return render_github(found)
        case "sarif":
            return json.dumps(render_sarif(found), ensure_ascii=False)
    return json.dumps(_json_report(reports), ensure_ascii=False)


def _json_report(reports: Sequence[Report]) -> dict[str, Any]:
    """The diagnostics' own object, and what each file amounts to."""
    from flowc.render.json import json_report

    files = [{"file": str(r.path), "ok": r.sound, **r.facts} for r in reports]
    return json_report(all_diagnostics(reports)) | {
        "ok": all(report.sound for report in reports), "files": files
    }  # fmt: skip
