"""`flowc doctor`: looks over machine and installation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from flowc.cli import exits
from flowc.cli.command import command
from flowc.cli.options import json_option

if TYPE_CHECKING:
    from flowc.cli.health import Finding

COLOURS = {"OK": "green", "INFO": "blue", "WARN": "yellow", "FAIL": "red"}


@command(
    "doctor",
    ("flowc doctor", "one line a check, with what to do about it"),
    ("flowc doctor --json", "the same for a bug report"),
)
@json_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look over this machine and installation.

    Each line is OK, INFO (worth knowing), WARN (works, with a drawback) or FAIL; with a FAIL the
    exit code is 1.
    """
    from flowc.cli.health import examine

    findings = examine()
    failed = any(finding.level == "FAIL" for finding in findings)
    if as_json:
        from dataclasses import asdict

        from flowc.cli.printing import print_json

        print_json("doctor", {"ok": not failed, "checks": [asdict(f) for f in findings]})
    else:
        click.echo("\n".join(_line(finding) for finding in findings))
    ctx.exit(exits.MISTAKE if failed else exits.OK)


def _line(finding: Finding) -> str:
    mark = click.style(f"{finding.level:4}", fg=COLOURS[finding.level])
    fix = f"\n{'':17}{finding.fix}" if finding.fix else ""
    return f"{mark}  {finding.name:9}  {finding.text}{fix}"
